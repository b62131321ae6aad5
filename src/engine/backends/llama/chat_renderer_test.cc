#include "engine/backends/llama/chat_renderer.h"

#include "engine/backends/llama/llama_backend.h"
#include "engine/backends/llama/testing/model_with_metadata.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>

#include <algorithm>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

namespace autoglm::engine {
namespace {

/// The error with which a chat is refused; an empty field: it is accepted.
class ChatRefusal : public ::testing::Test {
 protected:
  Error of(const ChatPrompt& chat) const {
    const auto rendered = rendered_by(chat);
    return rendered ? Error() : rendered.error();
  }
  Result<RenderedChat> rendered_by(const ChatPrompt& chat, const OutputFormat& format = {}) const {
    return backend_.chat->render(chat, format);
  }
  static ChatPrompt asking(std::size_t tools, const std::string& name = "f") {
    ChatPrompt chat;
    chat.messages.push_back({.role = "user", .content = "hello"});
    for (std::size_t i = 0; i < tools; ++i)
      chat.tools.push_back({.name = name, .description = "", .parameters = R"({"type":"object"})"});
    return chat;
  }

 private:
  Backend backend_ =
      load_llama_backend(
          {.path = AUTOGLM_TINY_MODEL, .context = 256, .cache_cells = 256, .max_batch = 64, .threads = 1},
          [](double) { return true; })
          .value();
};

TEST_F(ChatRefusal, ToolsAreSoManyAndTheirNamesSoLong) {
  EXPECT_EQ(of(asking(3)).param, "");
  EXPECT_NE(of(asking(513)).message.find("at most 512 tools, got 513"), std::string::npos);
  EXPECT_EQ(of(asking(1, std::string(256, 'n'))).param, "");
  EXPECT_NE(of(asking(1, std::string(257, 'n'))).message.find("over 256 bytes"), std::string::npos);
  ChatPrompt impossible = asking(1, "pick");
  impossible.tools[0].parameters = R"({"properties":{"a":{"type":"integer","minimum":5,"maximum":1}}})";
  EXPECT_EQ(of(impossible).param, "") << "who may call it may still do so";
  impossible.tool_use = ToolUse::kRequired;
  const Error error = of(impossible);
  EXPECT_EQ(error.param, "tools");
  EXPECT_NE(error.message.find("the tool pick cannot be kept to: at #/properties/a:"), std::string::npos)
      << error.message;
}

TEST_F(ChatRefusal, ASchemaThatCannotBeKeptIsTheToolsFaultAndNotTheTemplates) {
  for (const char* schema : {R"({"properties":{"a":{"$ref":"https://x.org/y"}}})",
                             R"({"properties":{"a":{"type":"no such type"}}})"}) {
    SCOPED_TRACE(schema);
    ChatPrompt chat = asking(1, "other");
    chat.tools.push_back({.name = "pick", .description = "", .parameters = schema});
    EXPECT_EQ(of(chat).message, "");
    const auto rendered = rendered_by(chat);
    ASSERT_TRUE(rendered);
    EXPECT_TRUE(rendered->constraint) << "the others are kept to";
    EXPECT_NE(rendered->text.find("pick"), std::string::npos);
    chat.tool_use = ToolUse::kRequired;
    const Error error = of(chat);
    EXPECT_EQ(error.param, "tools");
    EXPECT_NE(error.message.find("the parameters of the tool pick cannot be kept to"), std::string::npos)
        << error.message;
    EXPECT_EQ(error.message.find("template"), std::string::npos) << error.message;
  }
}

TEST_F(ChatRefusal, ParametersAreJsonThatNestsNotTooDeep) {
  for (const std::string& schema : {std::string("{nope"), std::string(50'000, '['),
                                    R"({"a":)" + std::string(300, '[') + std::string(300, ']') + "}"}) {
    ChatPrompt chat = asking(1, "pick");
    chat.tools[0].parameters = schema;
    EXPECT_EQ(of(chat).param, "tools");
    EXPECT_NE(of(chat).message.find("the parameters of the tool pick must be JSON"), std::string::npos);
  }
}

TEST_F(ChatRefusal, ACallThatIsRequiredIsOneEvenWhereTheAnswerHasAFormat) {
  ChatPrompt chat = asking(1, "pick");
  chat.tool_use = ToolUse::kRequired;
  const OutputFormat schema{.kind = OutputFormat::Kind::kJsonSchema, .definition = R"({"const":"x"})"};
  const auto call = rendered_by(chat);
  const auto formatted = rendered_by(chat, schema);
  ASSERT_TRUE(call && formatted);
  ASSERT_TRUE(call->constraint && formatted->constraint);
  for (TokenId token = 0; token < 256; ++token)
    EXPECT_EQ(formatted->constraint->allows(token), call->constraint->allows(token)) << token;
  const auto refused =
      rendered_by(chat, {.kind = OutputFormat::Kind::kGrammar, .definition = "root ::= \"a\""});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().param, "grammar");
}

TEST_F(ChatRefusal, ArgumentsThatWereCutComeBack) {
  ChatPrompt chat = asking(1);
  ChatMessage& message = chat.messages.emplace_back(ChatMessage{.role = "assistant"});
  message.tool_calls.push_back({.id = "1", .name = "f", .arguments = R"({"city": "Par)"});
  chat.messages.push_back({.role = "tool", .content = "what?", .tool_call_id = "1"});
  const auto rendered = rendered_by(chat);
  ASSERT_TRUE(rendered) << rendered.error().message;
}

TEST_F(ChatRefusal, ArgumentsOfACallAreJsonThatNestsNotTooDeep) {
  const auto called = [](std::string arguments) {
    ChatPrompt chat = asking(1);
    ChatMessage& message = chat.messages.emplace_back(ChatMessage{.role = "assistant"});
    message.tool_calls.push_back({.id = "1", .name = "f", .arguments = std::move(arguments)});
    return chat;
  };
  const auto nested = [](std::size_t depth) {
    return R"({"a":)" + std::string(depth, '[') + std::string(depth, ']') + "}";
  };
  EXPECT_EQ(of(called(R"({"a":1})")).param, "");
  EXPECT_EQ(of(called("")).param, "") << "some clients say so that there are none";
  EXPECT_EQ(of(called(nested(100))).param, "");
  for (const std::string& wrong : {std::string("{nope"), nested(200), nested(50'000)})
    EXPECT_EQ(of(called(wrong)).param, "messages[1].tool_calls[0].function.arguments") << wrong.substr(0, 20);
}

TEST(ChatRenderer, AChatWithoutASystemMessageGetsTheDefault) {
  const auto rendered = [](const std::string& system_message, const std::string& role) {
    const auto backend = load_llama_backend({.path = AUTOGLM_TINY_MODEL,
                                             .context = 256,
                                             .cache_cells = 256,
                                             .max_batch = 64,
                                             .threads = 1,
                                             .system_message = system_message},
                                            [](double) { return true; });
    ChatPrompt chat;
    chat.messages.push_back({.role = role, .content = "Sing."});
    chat.messages.push_back({.role = "user", .content = "hello"});
    return backend.value().chat->render(chat, {}).value().text;
  };
  const std::string plain = rendered("", "user");
  EXPECT_EQ(plain.find("Be brief."), std::string::npos);
  const std::string told = rendered("Be brief.", "user");
  EXPECT_LT(told.find("Be brief."), told.find("Sing."));
  EXPECT_EQ(rendered("Be brief.", "system"), rendered("", "system"));
  EXPECT_EQ(rendered("Be brief.", "developer"), rendered("", "developer"));
}

Backend load(LlamaOptions options) {
  options.cache_cells = 256;
  options.max_batch = 64;
  auto backend = load_llama_backend(options, [](double) { return true; });
  EXPECT_TRUE(backend) << backend.error().message;
  return std::move(*backend);
}

std::string hello(const Backend& backend) {
  ChatPrompt chat;
  chat.messages.push_back({.role = "user", .content = "hello"});
  return backend.chat->render(chat, {}).value().text;
}

constexpr const char* kChatMl = "<|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\n";

TEST(ChatRenderer, WritesChatsAsItIsConfigured) {
  EXPECT_EQ(hello(load({.path = AUTOGLM_TINY_MODEL, .context = 256, .chat_template = "chatml"})), kChatMl);
  EXPECT_EQ(hello(load({.path = AUTOGLM_TINY_MODEL, .context = 256, .chat_template = "vicuna"})),
            "USER: hello\nASSISTANT:");
  const std::string file = testing::TempDir() + "chat.jinja";
  std::ofstream(file) << "{% for m in messages %}[{{ m.role }}] {{ m.content }}{% endfor %}";
  EXPECT_EQ(hello(load({.path = AUTOGLM_TINY_MODEL, .context = 256, .chat_template = file})), "[user] hello");
  const auto refused = load_llama_backend({.path = AUTOGLM_TINY_MODEL, .chat_template = "/nowhere"},
                                          [](double) { return true; });
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("none of the names: "), std::string::npos)
      << refused.error().message;
}

TEST(ChatRenderer, ChatsInChatMlWhereAFileHasNoTemplateAndSaysSo) {
  const std::string path = testing::TempDir() + "untold.gguf";
  ASSERT_TRUE(write_with_metadata(AUTOGLM_TINY_MODEL, path, {{"tokenizer.chat_template", std::string()}}));
  const auto backend = load({.path = path, .context = 256});
  EXPECT_EQ(hello(backend), kChatMl);
  ASSERT_EQ(backend.facts.notes.size(), 1U);
  EXPECT_NE(backend.facts.notes[0].find("ChatML"), std::string::npos);
  EXPECT_TRUE(load({.path = AUTOGLM_TINY_MODEL, .context = 256}).facts.notes.empty());
}

TEST(LlamaBackend, SaysWhenItsContextIsMoreThanTheModels) {
  const auto backend = load({.path = AUTOGLM_TINY_MODEL, .context = 1'000'000});
  ASSERT_EQ(backend.facts.notes.size(), 1U);
  EXPECT_NE(backend.facts.notes[0].find("1000000 tokens, and the model was trained for"), std::string::npos)
      << backend.facts.notes[0];
}

TEST(LlamaBackend, FillsInTheMiddleWhereTheVocabularyCan) {
  EXPECT_FALSE(load({.path = AUTOGLM_TINY_MODEL, .context = 256}).vocabulary->facts().infill);
  const std::string path = testing::TempDir() + "infill.gguf";
  ASSERT_TRUE(write_with_metadata(AUTOGLM_TINY_MODEL, path,
                                  {{"tokenizer.ggml.fim_pre_token_id", std::uint32_t{5}},
                                   {"tokenizer.ggml.fim_suf_token_id", std::uint32_t{6}},
                                   {"tokenizer.ggml.fim_mid_token_id", std::uint32_t{7}}}));
  const auto infill = load({.path = path, .context = 256}).vocabulary->facts().infill;
  ASSERT_TRUE(infill);
  EXPECT_EQ(infill->prefix, 5);
  EXPECT_EQ(infill->suffix, 6);
  EXPECT_EQ(infill->middle, 7);
}

TEST(LlamaBackend, TellsOfItsTokenizer) {
  const auto backend = load({.path = AUTOGLM_TINY_MODEL, .context = 256});
  const auto info = boost::json::parse(backend.facts.tokenizer_info).as_object();
  EXPECT_EQ(info.at("model_max_length"), 256);
  EXPECT_EQ(info.at("vocab_size"), backend.vocabulary->facts().size);
  EXPECT_TRUE(info.at("chat_template").is_string());
  for (const auto& [id, token] : info.at("added_tokens_decoder").as_object()) {
    EXPECT_EQ(backend.vocabulary->written(std::stoi(std::string(id))), token.at("content").as_string());
    EXPECT_EQ(backend.vocabulary->tokenize(std::string(token.at("content").as_string()), false, true)
                  .value()
                  .size(),
              1U);
  }
  EXPECT_GT(info.at("added_tokens_decoder").as_object().size(), 0U);
}

}  // namespace
}  // namespace autoglm::engine
