#include "gateway/protocol/vllm/tokenize.h"

#include <gtest/gtest.h>

namespace autoglm::protocol::vllm {
namespace {

TEST(Tokenize, ReadsPromptOrMessages) {
  const auto text = decode_tokenize(R"({"model":"m","prompt":"Hi","add_special_tokens":false})");
  ASSERT_TRUE(text);
  EXPECT_EQ(text->model, "m");
  EXPECT_EQ(std::get<TextPrompt>(text->work.prompt).text, "Hi");
  EXPECT_EQ(text->work.add_special, false);
  const auto chat = decode_tokenize(R"({"messages":[{"role":"user","content":"Hi"}]})");
  ASSERT_TRUE(chat);
  EXPECT_EQ(std::get<ChatPrompt>(chat->work.prompt).messages.size(), 1U);
}

TEST(Tokenize, RefusesABodyWithoutPrompt) {
  const auto call = decode_tokenize("{}");
  ASSERT_FALSE(call);
  EXPECT_EQ(call.error().param, "prompt");
}

TEST(Tokenize, WritesCountLengthAndTokens) {
  EXPECT_EQ(tokenize_body({.tokens = {1, 2, 3}, .context_length = 2048}),
            R"({"count":3,"max_model_len":2048,"tokens":[1,2,3]})");
}

TEST(Detokenize, ReadsTokensAndWritesText) {
  const auto call = decode_detokenize(R"({"tokens":[5,6]})");
  ASSERT_TRUE(call);
  EXPECT_EQ(call->work.tokens, (std::vector<TokenId>{5, 6}));
  EXPECT_EQ(detokenize_body("a\"b"), R"({"prompt":"a\"b"})");
  EXPECT_FALSE(decode_detokenize(R"({"tokens":["a"]})"));
  EXPECT_FALSE(decode_detokenize("{}"));
}

TEST(Tokenize, AsksAnotherProcessForTheSame) {
  const std::string body =
      R"({"messages":[{"role":"system","content":"a\"b"},{"role":"assistant","content":null,"reasoning_content":"hm",)"
      R"("tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{\"x\":1}"}},)"
      R"({"id":"c2","type":"function","function":{"name":"g","arguments":""}}]},)"
      R"({"role":"tool","content":"é","tool_call_id":"c1","name":"f"}],"add_special_tokens":false})";
  const auto first = decode_tokenize(body);
  ASSERT_TRUE(first) << first.error().message;
  const auto second = decode_tokenize(tokenize_call(first->work));
  ASSERT_TRUE(second) << second.error().message;
  EXPECT_EQ(second->work.add_special, false);
  const auto& messages = std::get<ChatPrompt>(first->work.prompt).messages;
  const auto& again = std::get<ChatPrompt>(second->work.prompt).messages;
  ASSERT_EQ(again.size(), 3U);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(again[i].role, messages[i].role);
    EXPECT_EQ(again[i].content, messages[i].content);
    EXPECT_EQ(again[i].name, messages[i].name);
    EXPECT_EQ(again[i].reasoning, messages[i].reasoning);
    EXPECT_EQ(again[i].tool_call_id, messages[i].tool_call_id);
  }
  ASSERT_EQ(again[1].tool_calls.size(), 2U);
  EXPECT_EQ(again[1].tool_calls[0].id, "c1");
  EXPECT_EQ(again[1].tool_calls[0].arguments, R"({"x":1})");
  EXPECT_EQ(again[1].tool_calls[1].name, "g");
  const auto text = decode_tokenize(tokenize_call({.prompt = TextPrompt{"Hi\n"}}));
  ASSERT_TRUE(text);
  EXPECT_EQ(std::get<TextPrompt>(text->work.prompt).text, "Hi\n");
}

TEST(Tokenize, ReadsWhatElseMakesAChatsPrompt) {
  const auto call = decode_tokenize(
      R"({"tools":[{"function":{"name":"f","description":"d","parameters":{"a":1}}}],"add_generation_prompt":false,)"
      R"("continue_final_message":true,"chat_template_kwargs":{"x":[1]},"return_token_strs":true,)"
      R"("messages":[{"role":"user","content":"Hi"}]})");
  ASSERT_TRUE(call) << call.error().message;
  EXPECT_TRUE(call->work.with_texts);
  EXPECT_EQ(call->work.add_special, std::nullopt);
  // The call to another process has all of it.
  const auto again = decode_tokenize(tokenize_call(call->work));
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_TRUE(again->work.with_texts);
  const auto& chat = std::get<ChatPrompt>(again->work.prompt);
  EXPECT_EQ(chat.tools.at(0).name, "f");
  EXPECT_EQ(chat.tools.at(0).description, "d");
  EXPECT_EQ(chat.tools.at(0).parameters, R"({"a":1})");
  EXPECT_FALSE(chat.add_generation_prompt);
  EXPECT_TRUE(chat.continue_final_message);
  EXPECT_EQ(chat.template_arguments.at("x"), "[1]");
}

TEST(Tokenize, TakesSpecialTokensAsTextWhenAsked) {
  EXPECT_TRUE(std::get<TextPrompt>(decode_tokenize(R"({"prompt":"Hi"})")->work.prompt).parse_special);
  const auto call = decode_tokenize(R"({"parse_special":false,"prompt":"Hi"})");
  EXPECT_FALSE(std::get<TextPrompt>(call->work.prompt).parse_special);
  const auto again = decode_tokenize(tokenize_call(call->work));
  EXPECT_FALSE(std::get<TextPrompt>(again->work.prompt).parse_special);
}

TEST(Tokenize, SpeaksLlamaServersDialect) {
  const auto call = decode_tokenize(R"({"content":"Hi","with_pieces":true})");
  ASSERT_TRUE(call) << call.error().message;
  EXPECT_EQ(call->work.add_special, false);
  EXPECT_TRUE(decode_tokenize(R"({"content":"Hi","add_special":true})")->work.add_special.value_or(false));
  const TokenizeResult result{.tokens = {1, 2}, .context_length = 9, .texts = {"a\"", "\xff"}};
  EXPECT_EQ(tokenize_body(result, true),
            "{\"count\":2,\"max_model_len\":9,\"tokens\":[{\"id\":1,\"piece\":\"a\\\"\"},"
            "{\"id\":2,\"piece\":\"\xEF\xBF\xBD\"}]}");
}

TEST(Tokenize, RefusesATemplateAndImages) {
  for (const char* body : {R"({"messages":[{"role":"user","content":"x"}],"chat_template":"a"})",
                           R"({"messages":[{"role":"user","content":[{"type":"image_url"}]}]})"}) {
    const auto call = decode_tokenize(body);
    ASSERT_FALSE(call) << body;
    EXPECT_EQ(call.error().reason, "unsupported_parameter");
  }
}

TEST(Tokenize, WritesTheTextsOfTokens) {
  const std::string body = tokenize_body({.tokens = {1, 2}, .context_length = 9, .texts = {"<s>", "a"}});
  EXPECT_EQ(body, R"({"count":2,"max_model_len":9,"tokens":[1,2],"token_strs":["<s>","a"]})");
  EXPECT_EQ(read_tokenize_result(body)->texts, (std::vector<std::string>{"<s>", "a"}));
}

TEST(Tokenize, ReadsWhatItWrites) {
  const auto result = read_tokenize_result(tokenize_body({.tokens = {1, 2, 3}, .context_length = 2048}));
  ASSERT_TRUE(result);
  EXPECT_EQ(result->tokens, (std::vector<TokenId>{1, 2, 3}));
  EXPECT_EQ(result->context_length, 2048U);
  EXPECT_EQ(decode_detokenize(detokenize_call(result->tokens))->work.tokens, result->tokens);
  EXPECT_EQ(read_detokenize_result(detokenize_body("a\"b")).value().text, "a\"b");
  EXPECT_FALSE(read_tokenize_result("nothing"));
}

}  // namespace
}  // namespace autoglm::protocol::vllm
