#include "gateway/protocol/openai/frame.h"

#include <gtest/gtest.h>

namespace autoglm::protocol::openai {
namespace {

TEST(NextFrame, FindsWholeFramesOnly) {
  const std::string_view bytes = "data: a\n\n: note\r\n\r\nid: 1\ndata:b\n\ndata: c\n";
  std::size_t at = 0;
  std::vector<std::string> data;
  while (true) {
    const std::string_view frame = next_frame(bytes, at);
    if (frame.empty()) break;
    at += frame.size();
    data.emplace_back(frame_data(frame).value_or("-"));
  }
  EXPECT_EQ(data, (std::vector<std::string>{"a", "-", "b"}));
  EXPECT_EQ(bytes.substr(at), "data: c\n");
}

TEST(ReadFrame, TellsTextTokensAndEnds) {
  const auto chat = read_frame(
      R"({"choices":[{"index":1,"delta":{"content":"é"},"token_ids":[5,6],"finish_reason":null}],"usage":null})");
  ASSERT_TRUE(chat);
  ASSERT_EQ(chat->events.size(), 1U);
  EXPECT_EQ(chat->events[0].choice, 1U);
  EXPECT_EQ(chat->events[0].text, "é");
  EXPECT_EQ(chat->events[0].tokens, (std::vector<TokenId>{5, 6}));
  EXPECT_TRUE(chat->has_tokens);
  EXPECT_FALSE(chat->usage);
  const auto end = read_frame(R"({"choices":[{"index":0,"text":"x","finish_reason":"length"}],)"
                              R"("usage":{"prompt_tokens":3,"completion_tokens":4}})");
  ASSERT_TRUE(end);
  EXPECT_EQ(end->events[0].finish, FinishReason::kLength);
  EXPECT_FALSE(end->has_tokens);
  EXPECT_EQ(end->usage->completion_tokens, 4U);
  const auto error = read_frame(R"({"error":{"message":"out of memory"}})");
  EXPECT_EQ(error->error->message, "out of memory");
  EXPECT_EQ(error->error->origin, Origin::kEndpoint);
  const auto own = read_frame(
      R"({"error":{"message":"dead end","type":"invalid_request_error","param":"grammar","code":"invalid_value"}})");
  EXPECT_EQ(own->error->origin, Origin::kClient);
  EXPECT_EQ(own->error->retry, Retry::kNever);
  EXPECT_EQ(own->error->code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(own->error->param, "grammar");
  EXPECT_EQ(own->error->reason, "invalid_value");
  // vLLM and llama-server have a number for a code.
  const auto theirs =
      read_frame(R"({"error":{"message":"m","type":"BadRequestError","param":null,"code":400}})");
  EXPECT_EQ(theirs->error->origin, Origin::kClient);
  for (const char* garbage : {"", "{", "[]", "7", "\xff\xfe", R"({"choices":[)"})
    EXPECT_EQ(read_frame(garbage).error().code, ErrorCode::kBadGateway) << garbage;
}

TEST(ReadAnswer, TellsUsageOrWhatIsSaidInsteadOfAnAnswer) {
  const auto answer = read_answer(
      R"({"error":null,"choices":[{"message":{"content":"x"}}],"usage":{"prompt_tokens":3,"completion_tokens":4,)"
      R"("prompt_tokens_details":{"cached_tokens":2}}})");
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->prompt_tokens, 3U);
  EXPECT_EQ(answer->completion_tokens, 4U);
  EXPECT_EQ(answer->cached_tokens, 2U);
  EXPECT_EQ(read_answer(R"({"choices":[],"usage":null})")->completion_tokens, 0U);
  const auto refused = read_answer(R"({"choices":[],"error":{"message":"out of memory"}})");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message, "out of memory");
  EXPECT_EQ(refused.error().retry, Retry::kElsewhere);
  for (const char* garbage : {"", "{", "[]", "7", "\xff\xfe", R"({"choices":[)", R"({"choices":[}]})"})
    EXPECT_EQ(read_answer(garbage).error().reason, "bad_stream") << garbage;
}

TEST(ReadError, KeepsWhatTheEndpointSaid) {
  const Error wrong =
      read_error(400, R"({"error":{"message":"no such field","param":"x","code":"invalid_value"}})", "");
  EXPECT_EQ(wrong.code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(wrong.retry, Retry::kNever);
  EXPECT_EQ(wrong.param, "x");
  const Error busy = read_error(429, "<html>", "7");
  EXPECT_EQ(busy.code, ErrorCode::kResourceExhausted);
  EXPECT_EQ(busy.retry, Retry::kElsewhere);
  EXPECT_EQ(busy.retry_after, std::chrono::seconds(7));
  EXPECT_EQ(read_error(500, "", "soon").code, ErrorCode::kBadGateway);
  EXPECT_EQ(read_error(401, "", "").code, ErrorCode::kBadGateway) << "the client cannot mend our key";
}

TEST(Frame, TellsUsageInAComment) {
  const std::string comment =
      usage_comment({.prompt_tokens = 12, .cached_tokens = 3, .completion_tokens = 45});
  EXPECT_EQ(next_frame(comment, 0), comment);
  EXPECT_FALSE(frame_data(comment));
  const auto usage = read_usage_comment(comment);
  ASSERT_TRUE(usage);
  EXPECT_EQ(usage->prompt_tokens, 12U);
  EXPECT_EQ(usage->cached_tokens, 3U);
  EXPECT_EQ(usage->completion_tokens, 45U);
  EXPECT_FALSE(read_usage_comment(": usage 1 x\n\n"));
  EXPECT_FALSE(read_usage_comment(": keep-alive\n\n"));
}

}  // namespace
}  // namespace autoglm::protocol::openai
