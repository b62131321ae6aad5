#include "gateway/front/http/front.h"
#include "gateway/front/http/generation_routes.h"
#include "gateway/front/http/health_routes.h"
#include "gateway/front/http/load_routes.h"
#include "gateway/front/http/model_routes.h"
#include "gateway/front/http/welcome_routes.h"

#include "gateway/front/http/testing/recording_writer.h"
#include "http/content_coding.h"
#include "inference/testing/fake_endpoint.h"
#include "runtime/scope.h"
#include "runtime/testing/run_task.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <future>

#include <string>

namespace autoglm::gateway {
namespace {

using namespace std::chrono_literals;

class HttpFrontTest : public ::testing::Test {
 protected:
  HttpFrontTest()
      : log_(observe::Logger::create({.file = "/dev/null"}).value()),
        models_(1, std::make_shared<const ModelDirectory>(
                       std::vector<ModelDirectory::Entry>{{"alpha", unowned(endpoint_)}})),
        pipeline_(models_) {
    std::vector<Route> routes =
        generation_routes(pipeline_, {.ignored_fields = registry_.counter("autoglm_ignored_fields_total", ""),
                                      .answer_memory = memory_,
                                      .pool = &pool_});
    for (auto& route : model_routes(pipeline_, "1.2.3", &pool_)) routes.push_back(std::move(route));
    for (auto& route : health_routes(models_, readiness_)) routes.push_back(std::move(route));
    for (auto& route : metrics_routes(registry_, models_)) routes.push_back(std::move(route));
    for (auto& route : welcome_routes(models_, readiness_, {.version = "1.2.3"}))
      routes.push_back(std::move(route));
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
  std::shared_ptr<http::BodyMemory> memory_ = std::make_shared<http::BodyMemory>(1'000'000);
  LiveDirectory models_;
  Readiness readiness_;
  Pipeline pipeline_;
  std::unique_ptr<HttpFront> front_;
  EventLoop loop_;
  BlockingPool pool_{1, 8};
};

TEST_F(HttpFrontTest, AnswersACompletion) {
  const auto answer = call("POST", "/v1/completions", R"({"prompt":"Hi"})", "X-Request-Id: abc\r\n");
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.headers.at("x-request-id"), "abc");
  EXPECT_NE(answer.body.find(R"("id":"cmpl-abc")"), std::string::npos) << answer.body;
  EXPECT_NE(answer.body.find(R"("text":"Hello world")"), std::string::npos) << answer.body;
}

TEST_F(HttpFrontTest, WholeAnswersShareABoundedMemory) {
  endpoint_.words.assign(20, std::string(100'000, 'w'));
  const auto refused = call("POST", "/v1/completions", R"({"prompt":"Hi"})");
  EXPECT_EQ(refused.status, 503);
  EXPECT_EQ(refused.headers.at("Retry-After"), "1");
  EXPECT_NE(refused.body.find("server.answer_memory"), std::string::npos) << refused.body.substr(0, 300);
  EXPECT_EQ(endpoint_.open_streams, 0U);
  EXPECT_EQ(memory_->used(), 0U);
  // A stream keeps no memory for what has been sent.
  EXPECT_EQ(call("POST", "/v1/completions", R"({"prompt":"Hi","stream":true})").status, 200);
  endpoint_.words.assign(2, std::string(100'000, 'w'));
  EXPECT_EQ(call("POST", "/v1/completions", R"({"prompt":"Hi"})").status, 200);
}

struct Post : http::Request {
  Post(std::string_view path, std::string content) {
    EXPECT_TRUE(
        http::parse_request_head("POST " + std::string(path) + " HTTP/1.1\r\nHost: x\r\n\r\n", {}, *this));
    body = std::move(content);
  }
};

TEST_F(HttpFrontTest, LongBodiesAreReadBesideTheLoop) {
  const std::string text(300'000, 'x');
  std::promise<void> free;
  EXPECT_TRUE(pool_.submit([busy = free.get_future().share()] { busy.wait(); }));
  RecordingWriter completion;
  RecordingWriter tokens;
  Post for_completion("/v1/completions", R"({"prompt":")" + text + "\"}");
  Post for_tokens("/tokenize", R"({"prompt":")" + text + "\"}");
  run_task(loop_, [&]() -> Task<void> {
    Scope scope;
    scope.spawn(front_->handle(for_completion, completion));
    scope.spawn(front_->handle(for_tokens, tokens));
    Post quick("/v1/completions", R"({"prompt":"Hi"})");
    RecordingWriter other;
    co_await front_->handle(quick, other);
    EXPECT_EQ(other.status, 200);
    EXPECT_EQ(completion.status + tokens.status, 0);
    free.set_value();
    co_await scope.join();
  }());
  EXPECT_EQ(completion.status, 200);
  EXPECT_EQ(tokens.status, 200);
  const auto& work = *endpoint_.requests.back()->generation();
  EXPECT_EQ(std::get<TextPrompt>(work.prompts.front()).text, text);
}

TEST_F(HttpFrontTest, ACallerThatLeavesWhileItsBodyIsReadLeavesNothing) {
  std::promise<void> free;
  EXPECT_TRUE(pool_.submit([busy = free.get_future().share()] { busy.wait(); }));
  RecordingWriter writer;
  Post request("/v1/completions", R"({"prompt":")" + std::string(300'000, 'x') + "\"}");
  run_task(loop_, [&]() -> Task<void> {
    {
      Scope scope;
      scope.spawn(front_->handle(request, writer));
      co_await yield_to_loop();
    }
    free.set_value();
  }());
  EXPECT_EQ(writer.status, 0);
  EXPECT_TRUE(endpoint_.requests.empty());
}

TEST_F(HttpFrontTest, ATenantIsWhoHasProvenItElseWhoeverHasAKey) {
  const std::string body = R"({"prompt":"Hi"})";
  const std::string key = "Authorization: Bearer k\r\n";
  call("POST", "/v1/completions", body, key, "spiffe://example/a");
  call("POST", "/v1/completions", body, key);
  call("POST", "/v1/completions", body, "X-Api-Key: k\r\n");
  call("POST", "/v1/completions", body);
  EXPECT_EQ(endpoint_.tenants,
            (std::vector<std::string>{"certificate:spiffe://example/a", "key:Bearer k", "key:k", ""}));
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

TEST_F(HttpFrontTest, ShowsBrowsersAPageAndOthersThePaths) {
  const std::string browser = "Accept: text/html,*/*;q=0.8\r\n";
  const auto page = call("GET", "/", "", browser);
  EXPECT_EQ(page.status, 200);
  EXPECT_EQ(page.type, "text/html; charset=utf-8");
  EXPECT_TRUE(page.headers.at("Content-Security-Policy").starts_with("default-src 'none'"));
  EXPECT_NE(page.body.find("alpha"), std::string::npos);
  EXPECT_NE(page.body.find("curl http://x/v1/"), std::string::npos) << page.body;
  const auto json = call("GET", "/", "", "Accept: */*\r\n");
  EXPECT_EQ(json.status, 404);
  EXPECT_NE(json.body.find("there is nothing at /; this server has: POST /v1/completions"), std::string::npos)
      << json.body;
  EXPECT_EQ(json.body.find("GET /,"), std::string::npos) << json.body;
  EXPECT_EQ(call("GET", "/v2/nothing", "", browser).status, 404);
}

TEST_F(HttpFrontTest, ThePageShowsTheAddressAsTheBrowserKnowsIt) {
  const std::string browser = "Accept: text/html\r\n";
  const auto forwarded = call("GET", "/", "", browser + "X-Forwarded-Proto: https\r\n");
  EXPECT_NE(forwarded.body.find("curl https://x/v1/"), std::string::npos);
}

TEST_F(HttpFrontTest, AHostIsNoWayIntoTheExamples) {
  http::Request request;
  const auto parsed =
      http::parse_request_head("GET / HTTP/1.1\r\nHost: x;reboot\r\nAccept: text/html\r\n\r\n", {}, request);
  ASSERT_TRUE(parsed);
  RecordingWriter writer;
  run_task(loop_, front_->handle(request, writer));
  EXPECT_EQ(writer.body.find("reboot"), std::string::npos);
  EXPECT_NE(writer.body.find("curl http://HOST/v1/"), std::string::npos);
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

TEST_F(HttpFrontTest, SaysWhatWasReadOnlySealed) {
  endpoint_.current_prefixes = std::make_shared<const PrefixSet>(PrefixSet{0xABC});
  const auto load = [&](std::optional<PrefixKey> key) {
    front_ = std::make_unique<HttpFront>(load_routes(models_, std::move(key)), readiness_, registry_, *log_);
    return call("GET", "/load").body;
  };
  EXPECT_NE(load(std::nullopt).find(R"("prefixes":[])"), std::string::npos);
  const PrefixKey key("a secret of ours");
  const std::string sealed = load(key);
  EXPECT_EQ(sealed.find("0000000000000abc"), std::string::npos) << sealed;
  EXPECT_NE(sealed.find(fmt::format(R"("prefixes":["{:016x}"])", key.seal(0xABC))), std::string::npos)
      << sealed;
  EXPECT_NE(load(PrefixKey("another secret")), sealed);
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

TEST_F(HttpFrontTest, APageFromElsewhereDoesNoWorkByAForm) {
  for (const char* type : {"Content-Type: text/plain\r\n", "Content-Type: TEXT/plain; charset=utf-8\r\n",
                           "Content-Type: multipart/form-data; boundary=b\r\n", ""}) {
    for (const char* origin : {"http://evil.example", "null", "http://x:81"}) {
      const auto answer = call("POST", "/v1/completions", R"({"prompt":"Hi"})",
                               fmt::format("{}Origin: {}\r\n", type, origin));
      EXPECT_EQ(answer.status, 403) << type << origin;
    }
  }
  EXPECT_TRUE(endpoint_.requests.empty());
  for (const char* fine : {"Content-Type: text/plain\r\n", "Origin: http://x\r\n", "Origin: HTTPS://X\r\n",
                           "Origin: http://evil.example\r\nContent-Type: application/json\r\n"})
    EXPECT_EQ(call("POST", "/v1/completions", R"({"prompt":"Hi"})", fine).status, 200) << fine;
  EXPECT_EQ(call("GET", "/v1/models", "", "Origin: http://evil.example\r\n").status, 200)
      << "it cannot read it";
}

TEST_F(HttpFrontTest, UnpacksBodiesWithinBounds) {
  const std::string body = R"({"prompt":")" + std::string(4000, 'a') + R"("})";
  for (const auto coding :
       {http::ContentCoding::kGzip, http::ContentCoding::kBrotli, http::ContentCoding::kZstd}) {
    const std::string packed = run_task(loop_, http::encode(coding, body)).value();
    const std::string field = fmt::format("Content-Encoding: {}\r\n", http::to_string(coding));
    EXPECT_EQ(call("POST", "/v1/completions", packed, field).status, 200) << field;
    EXPECT_EQ(endpoint_.requests.back()->wire.stream, false);
    EXPECT_EQ(call("POST", "/v1/completions", packed.substr(0, packed.size() - 3), field).status, 400)
        << field;
    EXPECT_EQ(call("POST", "/v1/completions", body, field).status, 400) << field;
    front_->bound_unpacked(body.size() - 1, nullptr);
    EXPECT_EQ(call("POST", "/v1/completions", packed, field).status, 413) << field;
    front_->bound_unpacked(1 << 20, std::make_shared<http::BodyMemory>(10));
    EXPECT_EQ(call("POST", "/v1/completions", packed, field).status, 200) << "small ones are not counted";
    front_->bound_unpacked(1 << 20, nullptr);
  }
  const std::string large =
      run_task(loop_, http::encode(http::ContentCoding::kGzip, std::string(1 << 20, 'a'))).value();
  front_->bound_unpacked(2 << 20, std::make_shared<http::BodyMemory>(1 << 19));
  EXPECT_EQ(call("POST", "/v1/completions", large, "Content-Encoding: gzip\r\n").status, 503);
  const auto unknown = call("POST", "/v1/completions", body, "Content-Encoding: rot13\r\n");
  EXPECT_EQ(unknown.status, 415);
  EXPECT_EQ(call("POST", "/v1/completions", body, "Content-Encoding: gzip, gzip\r\n").status, 415);
  const std::string twice = "Content-Encoding: gzip\r\nContent-Encoding: gzip\r\n";
  EXPECT_EQ(call("POST", "/v1/completions", large, twice).status, 415);
  EXPECT_EQ(call("POST", "/v1/completions", body, "Content-Encoding: identity\r\n").status, 200);
}

TEST_F(HttpFrontTest, UnpackingABodyLeavesTheLoopToOthers) {
  http::Request request;
  ASSERT_TRUE(http::parse_request_head(
      "POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\n\r\n", {}, request));
  request.body = run_task(loop_, http::encode(http::ContentCoding::kGzip, std::string(8 << 20, 'a'))).value();
  front_->bound_unpacked(16 << 20, nullptr);
  RecordingWriter writer;
  int turns = 0;
  run_task(loop_, [&]() -> Task<void> {
    Scope others;
    others.spawn([](int& count) -> Task<void> {
      for (;; ++count) co_await yield_to_loop();
    }(turns));
    co_await front_->handle(request, writer);
  }());
  EXPECT_EQ(writer.status, 400) << "it is no JSON";
  EXPECT_GE(turns, 10);
}

TEST_F(HttpFrontTest, NamesAByteOrderMark) {
  for (const char* mark : {"\xEF\xBB\xBF", "\xFF\xFE", "\xFE\xFF"}) {
    const auto answer = call("POST", "/v1/completions", std::string(mark) + R"({"prompt":"Hi"})");
    EXPECT_EQ(answer.status, 400);
    EXPECT_NE(answer.body.find("byte order mark"), std::string::npos) << answer.body;
  }
}

TEST_F(HttpFrontTest, AsksForAKeyWhereThereAreAny) {
  LiveKeys keys;
  front_->ask_for_keys(keys);
  EXPECT_EQ(call("GET", "/v1/models").status, 200) << "no keys are configured yet";
  keys.set(*KeyRing::make(std::vector<KeyConfig>{{.name = "alice", .key = "sk-alice", .tenant = "a"}}));
  const auto none = call("POST", "/v1/completions", R"({"prompt":"Hi"})");
  EXPECT_EQ(none.status, 401);
  EXPECT_EQ(none.headers.at("WWW-Authenticate"), "Bearer");
  EXPECT_NE(none.body.find("missing_api_key"), std::string::npos) << none.body;
  EXPECT_TRUE(endpoint_.requests.empty());
  EXPECT_EQ(call("POST", "/v1/completions", R"({"prompt":"Hi"})", "x-api-key: sk-alice\r\n").status, 200);
  EXPECT_EQ(endpoint_.tenants.at(0), "tenant:a");
  for (const char* open : {"/health", "/livez", "/readyz", "/metrics"})
    EXPECT_EQ(call("GET", open).status, 200) << open;
  EXPECT_EQ(registry_.counter("autoglm_keys_refused_total", "").value(), 1U);
}

}  // namespace
}  // namespace autoglm::gateway
