#include "gateway/front/http/anthropic_routes.h"

#include "gateway/front/http/testing/called_front.h"

#include <gtest/gtest.h>

#include <string>

namespace autoglm::gateway {
namespace {

class AnthropicRoutes : public ::testing::Test {
 protected:
  static bool says(const RecordingWriter& answer, const std::string& text) {
    return answer.body.find(text) != std::string::npos;
  }
  CalledFront front_{[](const Pipeline& pipeline, GenerationSettings settings) {
    return anthropic_routes(pipeline, std::make_shared<const GenerationSettings>(std::move(settings)));
  }};
};

constexpr const char* kAsk = R"({"max_tokens":9,"messages":[{"role":"user","content":"Hi"}]})";

TEST_F(AnthropicRoutes, AnswerMessages) {
  const auto answer =
      front_.call("POST", "/v1/messages", kAsk, "X-Request-Id: abc\r\nanthropic-version: 2023-06-01\r\n");
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.headers.at("request-id"), "abc");
  EXPECT_TRUE(says(answer, R"("id":"msg_abc")")) << answer.body;
  EXPECT_TRUE(says(answer, R"("content":[{"type":"text","text":"Hello world"}])")) << answer.body;
}

TEST_F(AnthropicRoutes, CountTokens) {
  const auto answer =
      front_.call("POST", "/v1/messages/count_tokens", R"({"messages":[{"role":"user","content":"Hi"}]})");
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.body, R"({"input_tokens":3})");
}

TEST_F(AnthropicRoutes, AllErrorsHaveAnthropicsForm) {
  const auto is = [](const RecordingWriter& answer, int status, const std::string& type) {
    EXPECT_EQ(answer.status, status) << answer.body;
    EXPECT_TRUE(answer.body.starts_with(R"({"type":"error","error":{"type":")" + type + '"')) << answer.body;
  };
  is(front_.call("POST", "/v1/messages", "{}"), 400, "invalid_request_error");
  is(front_.call("POST", "/v1/messages/count_tokens", "{}"), 400, "invalid_request_error");
  is(front_.call("POST", "/v1/messages",
                 R"({"model":"huge","max_tokens":9,"messages":[{"role":"user","content":"Hi"}]})"),
     404, "not_found_error");
  is(front_.call("GET", "/v1/messages"), 405, "invalid_request_error");
  is(front_.call("GET", "/v1/messages/batches"), 404, "not_found_error");
  is(front_.call("POST", "/v1/messages", "x", "Content-Encoding: gzip\r\n"), 400, "invalid_request_error");
  is(front_.call("POST", "/v1/messages", kAsk, "Origin: https://elsewhere\r\nContent-Type: text/plain\r\n"),
     403, "permission_error");
  front_.endpoint.refuse_with = Error{.code = ErrorCode::kResourceExhausted, .message = "full"};
  is(front_.call("POST", "/v1/messages", kAsk), 429, "rate_limit_error");
  front_.readiness.begin_drain();
  is(front_.call("POST", "/v1/messages", kAsk), 503, "overloaded_error");
  EXPECT_TRUE(says(front_.call("GET", "/v1/elsewhere"), R"({"error":{"message")"))
      << "other paths have OpenAI's";
}

TEST_F(AnthropicRoutes, AFailureInAStreamIsAnErrorEvent) {
  front_.endpoint.fail_after_words = Error{.code = ErrorCode::kBadGateway, .message = "gone"};
  const auto answer =
      front_.call("POST", "/v1/messages",
                  R"({"max_tokens":9,"stream":true,"messages":[{"role":"user","content":"Hi"}]})");
  EXPECT_EQ(answer.status, 200);
  EXPECT_TRUE(says(answer, "event: message_start\n")) << answer.body;
  EXPECT_TRUE(answer.body.ends_with(
      "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"api_error\",\"message\":\"gone\"}}\n\n"))
      << answer.body;
}

}  // namespace
}  // namespace autoglm::gateway
