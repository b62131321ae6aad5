#include "app/chat/answer_event.h"

#include <gtest/gtest.h>

namespace autoglm::app {
namespace {

AnswerEvent event(std::string_view data) {
  const auto read = read_answer_event(data);
  EXPECT_TRUE(read && *read) << data;
  return **read;
}

TEST(AnswerEvent, HasWhatItAdds) {
  EXPECT_EQ(event(R"({"choices":[{"index":0,"delta":{"content":"Hi \n"},"finish_reason":null}]})").content,
            "Hi \n");
  EXPECT_EQ(event(R"({"choices":[{"delta":{"reasoning_content":"hm"}}]})").reasoning, "hm");
  EXPECT_EQ(event(R"({"choices":[{"delta":{},"finish_reason":"length"}]})").finish, "length");
  EXPECT_EQ(event(R"({"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":7}})").tokens, 7U);
  EXPECT_EQ(event(R"({"choices":[{"delta":{"content":null,"role":"assistant"}}],"usage":null})").content, "");
}

TEST(AnswerEvent, TheLastOneIsNone) {
  const auto read = read_answer_event("[DONE]");
  ASSERT_TRUE(read);
  EXPECT_FALSE(*read);
}

TEST(AnswerEvent, AnErrorIsOne) {
  const auto said =
      read_answer_event(R"({"error":{"message":"died","type":"server_error","code":"engine_died"}})");
  ASSERT_FALSE(said);
  EXPECT_EQ(said.error().message, "died");
  EXPECT_EQ(said.error().reason, "engine_died");
  EXPECT_EQ(read_answer_event(R"({"error":"died"})").error().message, R"("died")");
  EXPECT_NE(read_answer_event("<html>").error().message.find("no event of a chat: <html>"),
            std::string::npos);
  EXPECT_FALSE(read_answer_event("[1]"));
}

TEST(TakeEvent, WaitsForAWholeOne) {
  std::string buffer = "data: one\n";
  EXPECT_EQ(take_event(buffer), std::nullopt);
  buffer += "\n: keep-alive\n\nid: 7\ndata:two\ndata: three\n\nda";
  EXPECT_EQ(take_event(buffer), "one");
  EXPECT_EQ(take_event(buffer), "two\nthree");
  EXPECT_EQ(take_event(buffer), std::nullopt);
  EXPECT_EQ(buffer, "da");
}

TEST(TakeEvent, KnowsBothEndsOfLines) {
  std::string buffer = "event: x\r\ndata: one\r\n\r\ndata: two\n\n";
  EXPECT_EQ(take_event(buffer), "one");
  EXPECT_EQ(take_event(buffer), "two");
}

TEST(ReadFailure, TakesTheServersWords) {
  const Error error = read_failure(429, R"({"error":{"message":"full","code":"queue_full"}})", "3");
  EXPECT_EQ(error.code, ErrorCode::kResourceExhausted);
  EXPECT_EQ(error.message, "full");
  EXPECT_EQ(error.reason, "queue_full");
  EXPECT_EQ(error.retry_after, std::chrono::seconds(3));
}

TEST(ReadFailure, SaysWhatThereIsOfOthers) {
  EXPECT_EQ(read_failure(502, "<h1>Bad Gateway</h1>\nmore", "soon").message,
            "the server answered with status 502: <h1>Bad Gateway</h1>");
  EXPECT_EQ(read_failure(500, "", "").message, "the server answered with status 500");
  EXPECT_FALSE(read_failure(503, "", "soon").retry_after);
}

}  // namespace
}  // namespace autoglm::app
