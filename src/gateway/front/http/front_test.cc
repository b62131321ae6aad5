#include "gateway/front/http/front.h"

#include "inference/testing/fake_endpoint.h"
#include "runtime/testing/run_task.h"

#include <gtest/gtest.h>

#include <map>
#include <string>

namespace autoglm::gateway {
namespace {

using namespace std::chrono_literals;

/// Keeps what a handler answers.
class RecordingWriter final : public http::ResponseWriter {
 public:
  Task<Result<void>> send(int code, std::string_view content_type, std::string_view bytes) override {
    co_await start(code, content_type);
    body = bytes;
    co_return {};
  }
  Task<Result<void>> start(int code, std::string_view content_type) override {
    status = code;
    type = content_type;
    begun = true;
    co_return {};
  }
  Task<Result<void>> write(std::string_view bytes) override {
    body += bytes;
    ++writes;
    co_return {};
  }
  Task<Result<void>> finish() override {
    finished = true;
    co_return {};
  }
  void add_header(std::string_view name, std::string_view value) override {
    headers[std::string(name)] = value;
  }
  bool started() const override { return begun; }
  std::uint64_t bytes_sent() const override { return body.size(); }

  int status = 0;
  std::string type;
  std::string body;
  std::map<std::string, std::string> headers;
  int writes = 0;
  bool begun = false;
  bool finished = false;
};

class HttpFrontTest : public ::testing::Test {
 protected:
  HttpFrontTest()
      : log_(observe::Logger::create({.file = "/dev/null"}).value()),
        models_(1, std::make_shared<const ModelDirectory>(
                       std::vector<ModelDirectory::Entry>{{"alpha", unowned(endpoint_)}})),
        pipeline_(models_) {
    std::vector<Route> routes =
        generation_routes(pipeline_, registry_.counter("autoglm_ignored_fields_total", ""));
    for (auto& route : model_routes(models_, "1.2.3")) routes.push_back(std::move(route));
    for (auto& route : health_routes(models_, readiness_)) routes.push_back(std::move(route));
    for (auto& route : metrics_routes(registry_, models_)) routes.push_back(std::move(route));
    front_ = std::make_unique<HttpFront>(std::move(routes), readiness_, registry_, *log_);
  }

  RecordingWriter call(std::string_view method, std::string_view path, std::string body = "",
                       std::string headers = "", std::string client_identity = "") {
    http::Request request;
    request.client_identity = std::move(client_identity);
    const auto parsed = http::parse_request_head(
        std::string(method) + " " + std::string(path) + " HTTP/1.1\r\nHost: x\r\n" + headers + "\r\n", {},
        request);
    EXPECT_TRUE(parsed.has_value());
    request.body = std::move(body);
    RecordingWriter writer;
    run_task(loop_, front_->handle(request, writer));
    return writer;
  }

  FakeEndpoint endpoint_{"alpha"};
  std::unique_ptr<observe::Logger> log_;
  observe::MetricRegistry registry_;
  LiveDirectory models_;
  Readiness readiness_;
  Pipeline pipeline_;
  std::unique_ptr<HttpFront> front_;
  EventLoop loop_;
};

TEST_F(HttpFrontTest, AnswersACompletion) {
  const auto answer = call("POST", "/v1/completions", R"({"prompt":"Hi"})", "X-Request-Id: abc\r\n");
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.headers.at("x-request-id"), "abc");
  EXPECT_NE(answer.body.find(R"("id":"cmpl-abc")"), std::string::npos) << answer.body;
  EXPECT_NE(answer.body.find(R"("text":"Hello world")"), std::string::npos) << answer.body;
}

TEST_F(HttpFrontTest, ATenantIsWhoHasProvenItElseWhoeverHasAKey) {
  const std::string body = R"({"prompt":"Hi"})";
  const std::string key = "Authorization: Bearer k\r\n";
  call("POST", "/v1/completions", body, key, "spiffe://example/a");
  call("POST", "/v1/completions", body, key);
  call("POST", "/v1/completions", body, "X-Api-Key: k\r\n");
  call("POST", "/v1/completions", body);
  EXPECT_EQ(endpoint_.tenants, (std::vector<std::string>{"spiffe://example/a", "Bearer k", "k", ""}));
}

TEST_F(HttpFrontTest, StreamsAChat) {
  const auto answer =
      call("POST", "/v1/chat/completions", R"({"messages":[{"role":"user","content":"x"}],"stream":true})");
  EXPECT_EQ(answer.type, "text/event-stream; charset=utf-8");
  EXPECT_TRUE(answer.finished);
  EXPECT_EQ(answer.writes, 3);
  EXPECT_TRUE(answer.body.ends_with("data: [DONE]\n\n"));
}

TEST_F(HttpFrontTest, ListsThePathsForAnUnknownOne) {
  const auto answer = call("GET", "/v2/nothing");
  EXPECT_EQ(answer.status, 404);
  EXPECT_NE(answer.body.find("POST /v1/completions"), std::string::npos) << answer.body;
}

TEST_F(HttpFrontTest, ShowsTheRightCallForAWrongMethod) {
  const auto answer = call("GET", "/v1/completions");
  EXPECT_EQ(answer.status, 405);
  EXPECT_EQ(answer.headers.at("Allow"), "POST");
  EXPECT_NE(answer.body.find("max_tokens"), std::string::npos) << answer.body;
}

TEST_F(HttpFrontTest, RefusesWithRetryAfter) {
  endpoint_.refuse_with = Error{.code = ErrorCode::kResourceExhausted, .message = "full", .retry_after = 7s};
  const auto answer = call("POST", "/v1/completions", R"({"prompt":"Hi","stream":true})");
  EXPECT_EQ(answer.status, 429);
  EXPECT_EQ(answer.headers.at("Retry-After"), "7");
  EXPECT_EQ(answer.type, "application/json");
}

TEST_F(HttpFrontTest, EndsABrokenStreamWithOneErrorEvent) {
  endpoint_.fail_after_words = Error{.code = ErrorCode::kUnavailable, .message = "died"};
  const auto answer = call("POST", "/v1/completions", R"({"prompt":"Hi","stream":true})");
  EXPECT_EQ(answer.status, 200);
  EXPECT_TRUE(answer.body.ends_with(
      "data: {\"error\":{\"message\":\"died\",\"type\":\"server_error\",\"param\":null,\"code\":null}}\n\n"))
      << answer.body;
  EXPECT_EQ(answer.body.find("[DONE]"), std::string::npos);
}

TEST_F(HttpFrontTest, AFailureBeforeTheFirstTokenHasItsStatus) {
  endpoint_.words.clear();
  endpoint_.fail_after_words = Error{.code = ErrorCode::kUnavailable, .message = "died"};
  EXPECT_EQ(call("POST", "/v1/completions", R"({"prompt":"Hi","stream":true})").status, 503);
}

TEST_F(HttpFrontTest, HealthFollowsModelsAndDrain) {
  EXPECT_EQ(call("GET", "/health").status, 200);
  endpoint_.current_status = {.state = EndpointStatus::State::kLoading, .progress = 0.5};
  const auto loading = call("GET", "/health");
  EXPECT_EQ(loading.status, 503);
  EXPECT_EQ(loading.body,
            R"({"status":"loading","models":[{"name":"alpha","status":"loading","progress":0.50}]})");
  endpoint_.current_status = {.state = EndpointStatus::State::kReady, .progress = 1};
  readiness_.begin_drain();
  EXPECT_EQ(call("GET", "/readyz").status, 503);
  EXPECT_EQ(call("GET", "/livez").status, 200);
}

TEST_F(HttpFrontTest, StaysHealthyWhileOneOfTwoModelsIsLeft) {
  FakeEndpoint broken("beta");
  const LiveDirectory both(1, std::make_shared<const ModelDirectory>(std::vector<ModelDirectory::Entry>{
                                  {"alpha", unowned(endpoint_)}, {"beta", unowned(broken)}}));
  front_ = std::make_unique<HttpFront>(health_routes(both, readiness_), readiness_, registry_, *log_);
  broken.current_status = {.state = EndpointStatus::State::kFailed, .detail = "cut off"};
  const auto one = call("GET", "/health");
  EXPECT_EQ(one.status, 200);
  EXPECT_NE(one.body.find(R"("status":"degraded")"), std::string::npos) << one.body;
  EXPECT_NE(one.body.find(R"("detail":"cut off")"), std::string::npos) << one.body;
  endpoint_.current_status = broken.current_status;
  EXPECT_EQ(call("GET", "/health").status, 503);
}

TEST_F(HttpFrontTest, SendsNewWorkElsewhereWhileDraining) {
  readiness_.begin_drain();
  const auto answer = call("POST", "/v1/completions", R"({"prompt":"Hi"})");
  EXPECT_EQ(answer.status, 503);
  EXPECT_EQ(answer.headers.at("Retry-After"), "1");
  EXPECT_TRUE(endpoint_.requests.empty());
}

TEST_F(HttpFrontTest, CountsByRouteAndStatus) {
  call("POST", "/v1/completions", R"({"prompt":"Hi","what":1})");
  call("POST", "/v1/completions", "{");
  const auto metrics = call("GET", "/metrics");
  EXPECT_NE(metrics.body.find(R"(autoglm_http_requests_total{route="/v1/completions",code="200"} 1)"),
            std::string::npos)
      << metrics.body;
  EXPECT_NE(metrics.body.find(R"(autoglm_http_requests_total{route="/v1/completions",code="400"} 1)"),
            std::string::npos);
  EXPECT_NE(metrics.body.find("autoglm_ignored_fields_total 1"), std::string::npos);
}

TEST_F(HttpFrontTest, ShowsModelsAndTokens) {
  EXPECT_NE(call("GET", "/v1/models").body.find(R"("id":"alpha")"), std::string::npos);
  EXPECT_EQ(call("GET", "/v1/models/alpha").status, 200);
  EXPECT_EQ(call("GET", "/v1/models/beta").status, 404);
  EXPECT_EQ(call("POST", "/tokenize", R"({"prompt":"x"})").body,
            R"({"count":3,"max_model_len":2048,"tokens":[1,2,3]})");
  EXPECT_EQ(call("POST", "/detokenize", R"({"tokens":[1,2]})").body, R"({"prompt":"xx"})");
  EXPECT_EQ(call("GET", "/version").body, R"({"version":"1.2.3","server":"open-autoglm"})");
}

}  // namespace
}  // namespace autoglm::gateway
