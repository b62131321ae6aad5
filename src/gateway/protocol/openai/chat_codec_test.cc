#include "gateway/protocol/openai/chat_codec.h"

#include <gtest/gtest.h>

#include <string>

namespace autoglm::protocol::openai {
namespace {

const AnswerFacts kFacts{.id = "1", .model = "m", .created = 1700000000};

TEST(ChatCodec, ReadsMessagesInAllTheirShapes) {
  const auto call = ChatCodec().decode(R"({"messages":[
    {"role":"developer","content":"Be brief."},
    {"role":"user","content":[{"type":"text","text":"Hel"},{"type":"text","text":"lo"}],"name":"ann"},
    {"role":"assistant","content":null},
    {"role":"assistant"}], "max_completion_tokens": 9, "tools": [], "response_format": {"type":"text"}})");
  ASSERT_TRUE(call) << call.error().message;
  const auto& messages = std::get<ChatPrompt>(call->work.prompt).messages;
  ASSERT_EQ(messages.size(), 4U);
  EXPECT_EQ(messages[0].role, "system");
  EXPECT_EQ(messages[1].content, "Hello");
  EXPECT_EQ(messages[1].name, "ann");
  EXPECT_EQ(messages[2].content, "");
  EXPECT_EQ(call->work.stop.max_tokens, 9U);
}

TEST(ChatCodec, RunsToTheEndOfTheContextByDefault) {
  const auto call = ChatCodec().decode(R"({"messages":[{"role":"user","content":"x"}]})");
  ASSERT_TRUE(call);
  EXPECT_FALSE(call->work.stop.max_tokens.has_value());
}

TEST(ChatCodec, NamesTheMessageThatIsWrong) {
  struct Case {
    const char* body;
    const char* param;
  };
  const Case cases[] = {
      {R"({})", "messages"},
      {R"({"messages":[]})", "messages"},
      {R"({"messages":"hi"})", "messages"},
      {R"({"messages":[7]})", "messages[0]"},
      {R"({"messages":[{"content":"x"}]})", "messages[0].role"},
      {R"({"messages":[{"role":"user"}]})", "messages[0].content"},
      {R"({"messages":[{"role":"king","content":"x"}]})", "messages[0].role"},
      {R"({"messages":[{"role":"user","content":"x"},{"role":"user","content":3}]})", "messages[1].content"},
      {R"({"messages":[{"role":"user","content":[{"type":"image_url","image_url":{}}]}]})",
       "messages[0].content[0]"},
      {R"({"messages":[{"role":"user","content":"x"}],"tools":[{"type":"function"}]})", "tools"},
      {R"({"messages":[{"role":"user","content":"x"}],"response_format":{"type":"json_object"}})",
       "response_format"},
      {R"({"messages":[{"role":"user","content":"x"}],"logprobs":true})", "logprobs"},
  };
  for (const Case& c : cases) {
    const auto call = ChatCodec().decode(c.body);
    ASSERT_FALSE(call) << c.body;
    EXPECT_EQ(call.error().param, c.param) << call.error().message;
  }
}

TEST(ChatCodec, WritesTheDocument) {
  auto call = ChatCodec().decode(R"({"messages":[{"role":"user","content":"x"}]})");
  const auto encoder = call->make_encoder(kFacts);
  std::string out;
  encoder->events({.events = {{.text = "Hi"}, {.finish = FinishReason::kStop}}}, out);
  encoder->end({.prompt_tokens = 1, .completion_tokens = 2}, out);
  EXPECT_EQ(
      out,
      R"({"id":"chatcmpl-1","object":"chat.completion","created":1700000000,"model":"m","choices":[)"
      R"({"index":0,"message":{"role":"assistant","content":"Hi"},"logprobs":null,"finish_reason":"stop"}],)"
      R"("usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3,"prompt_tokens_details":{"cached_tokens":0}}})");
}

TEST(ChatCodec, StreamsRoleThenContentThenReason) {
  auto call = ChatCodec().decode(R"({"messages":[{"role":"user","content":"x"}],"stream":true})");
  const auto encoder = call->make_encoder(kFacts);
  std::string out;
  encoder->events({.events = {{.text = "Hi"}, {.text = "!", .finish = FinishReason::kStop}}}, out);
  const std::string head =
      R"(data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,"model":"m","choices":[{"index":0,"delta":)";
  EXPECT_EQ(out, head + R"({"role":"assistant","content":""},"logprobs":null,"finish_reason":null}]})" +
                     "\n\n" +                                                                         //
                     head + R"({"content":"Hi"},"logprobs":null,"finish_reason":null}]})" + "\n\n" +  //
                     head + R"({"content":"!"},"logprobs":null,"finish_reason":null}]})" + "\n\n" +   //
                     head + R"({},"logprobs":null,"finish_reason":"stop"}]})" + "\n\n");
}

}  // namespace
}  // namespace autoglm::protocol::openai
