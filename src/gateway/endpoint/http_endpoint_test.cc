#include "gateway/endpoint/http_endpoint.h"

#include "http/server.h"
#include "runtime/handover.h"
#include "runtime/testing/run_task.h"

#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <semaphore>
#include <string>

namespace autoglm::gateway {
namespace {

using namespace std::chrono_literals;

/// A server that keeps the requests it got.
class RecordingHandler final : public http::Handler {
 public:
  Task<void> handle(http::Request& request, http::ResponseWriter& response) override {
    path = request.path;
    target = request.target;
    body = request.body;
    headers.clear();
    encodings = request.headers.count("accept-encoding");
    encoding = request.headers.find("accept-encoding").value_or("");
    for (const char* name :
         {"x-api-key", "x-autoglm-timeout-ms", "x-autoglm-tell-usage", "x-request-id", "x-team",
          "authorization", "x-priority", "x-autoglm-shares", "x-autoglm-group"}) {
      if (const auto value = request.headers.find(name)) headers[name] = *value;
    }
    co_await response.send(200, "text/event-stream", answer);
  }
  std::pair<std::string, std::string_view> refused(const http::Refusal&, const std::string&) override {
    return {};
  }

  std::string answer;
  std::string path;
  std::string target;
  std::string body;
  std::map<std::string, std::string> headers;
  std::size_t encodings = 0;
  std::string encoding;
};

class HttpEndpointTest : public ::testing::Test {
 protected:
  HttpEndpointTest() {
    auto ends = make_handover();
    dialer_ = std::make_shared<HandoverDialer>(ends->first.take(), "child");
    clients_.reserve(loop_);
    run_task(loop_, [&, fd = ends->second.take()]() -> Task<void> {
      clients_.attach(loop_, std::make_unique<http::Client>(pool_, nullptr));
      server_.emplace(std::make_unique<HandoverListener>(loop_, fd, [] {}), http::ServerLimits(), handler_);
      server_->start();
      co_return;
    }());
  }

  HttpEndpointOptions options(bool part_of_us) {
    return {.url = {.host = {"engine", 80}, .target = "/v1"},
            .dialer = dialer_,
            .part_of_us = part_of_us,
            .ask_tokens = !part_of_us,
            .kind = std::make_shared<std::atomic<ServerKind>>(ServerKind::kOurs)};
  }

  /// Asks for a stream and reads it to its end; returns its usage.
  Usage stream(HttpEndpoint& endpoint, const CallContext& context, std::string query = {}) {
    handler_.answer =
        "data: {\"choices\":[{\"index\":0,\"text\":\"a\",\"token_ids\":[1]}]}\n\n: usage 5 2 7\n\ndata: "
        "[DONE]\n\n";
    auto request = std::make_shared<const InferenceRequest>(
        InferenceRequest{.id = "id-1",
                         .model = "m",
                         .work = GenerateRequest{.sampling = {.seed = 4}},
                         .wire = {.protocol = WireBody::Protocol::kCompletions,
                                  .stream = true,
                                  .bytes = R"({"model":"m","prompt":"p","stream":true})",
                                  .names_model = true,
                                  .query = std::move(query)}});
    return run_task(loop_, [&]() -> Task<Usage> {
      auto events = co_await endpoint.generate(request, context);
      EXPECT_TRUE(events.has_value());
      while (true) {
        auto batch = co_await (*events)->next();
        EXPECT_TRUE(batch.has_value());
        if (!batch || batch->last()) co_return batch ? *batch->usage : Usage{};
      }
    }());
  }

  /// What a client gets of a stream of these bytes: its frames, and after a slash the error.
  std::string passed_on(HttpEndpoint& endpoint, std::string bytes) {
    handler_.answer = std::move(bytes);
    auto request = std::make_shared<const InferenceRequest>(
        InferenceRequest{.id = "id-1",
                         .model = "m",
                         .work = GenerateRequest{},
                         .wire = {.protocol = WireBody::Protocol::kCompletions,
                                  .stream = true,
                                  .bytes = R"({"model":"m","prompt":"p","stream":true})",
                                  .names_model = true}});
    return run_task(loop_, [&]() -> Task<std::string> {
      auto events = co_await endpoint.generate(request, {});
      std::string out;
      while (true) {
        auto batch = co_await (*events)->next();
        if (!batch) co_return out + "/" + batch.error().message;
        out += batch->raw;
        if (batch->last()) co_return out;
      }
    }());
  }

  /// Asks for a whole answer; `handler_` says it.
  Task<std::unique_ptr<EventStream>> whole(HttpEndpoint& endpoint) {
    auto request = std::make_shared<const InferenceRequest>(
        InferenceRequest{.id = "id-1",
                         .model = "m",
                         .work = GenerateRequest{},
                         .wire = {.protocol = WireBody::Protocol::kCompletions,
                                  .bytes = R"({"model":"m","prompt":"p"})",
                                  .names_model = true}});
    auto events = co_await endpoint.generate(request, {});
    EXPECT_TRUE(events.has_value());
    co_return std::move(*events);
  }
  static std::string answer_of(std::size_t size) {
    return R"({"choices":[{"index":0,"text":")" + std::string(size, 'x') +
           R"("}],"usage":{"prompt_tokens":3,"completion_tokens":4}})";
  }

  EventLoop loop_;
  BlockingPool pool_{1, 8};
  HttpClients clients_;
  RecordingHandler handler_;
  std::shared_ptr<HandoverDialer> dialer_;
  std::optional<http::Server> server_;
};

TEST_F(HttpEndpointTest, ReadsStreamsAsTheStandardForServerSentEventsHasThem) {
  HttpEndpoint endpoint(options(false), clients_);
  const std::string chunk = R"({"choices":[{"index":0,"text":"a","token_ids":[1]}]})";
  const std::string plain = "data: " + chunk + "\n\n";
  const std::string done = "data: [DONE]\n\n";
  for (const auto& [bytes, passed] : std::map<std::string, std::string>{
           {plain + done, plain + done},
           {plain + "data: [DONE]", plain + done},
           {plain + "data: [DONE]\n", plain + done},
           {"data:\n\ndata\n\n" + plain + "data: \n\n" + done, plain + done},
           {": hello\n" + plain + "id: 1\n\n: usage 1 2 3\n" + done, plain + done},
           {"data: " + chunk + "\r\rdata: [DONE]\r\r", "data: " + chunk + "\r\rdata: [DONE]\r\r"},
           {"data: {\ndata: " + chunk.substr(1) + "\n\n" + done,
            "data: {\ndata: " + chunk.substr(1) + "\n\n" + done},
           {plain + "data: {\"cho", plain + "/the endpoint's stream ended without [DONE]"},
           {plain, plain + "/the endpoint's stream ended without [DONE]"},
       }) {
    EXPECT_EQ(passed_on(endpoint, bytes), passed) << bytes;
  }
}

TEST_F(HttpEndpointTest, WhatIsNoPartOfAnAnswerDoesNotBeginOne) {
  HttpEndpoint endpoint(options(false), clients_);
  const std::string chunk = R"(data: {"choices":[{"index":0,"text":"a"}]})";
  EXPECT_EQ(passed_on(endpoint, "data: {}\n\n" + chunk + "\n\ndata: [DONE]\n\n"),
            "/the endpoint sent an event that is no part of an answer");
}

TEST_F(HttpEndpointTest, StreamsThatSayNothingHaveAnEnd) {
  HttpEndpoint endpoint(options(false), clients_);
  EXPECT_EQ(passed_on(endpoint, "data: " + std::string(5'000'000, ' ')),
            "/the endpoint sent an event without end");
  std::string roles;
  while (roles.size() < 5'000'000)
    roles += "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\"}}]}\n\n";
  EXPECT_EQ(passed_on(endpoint, roles), "/the endpoint sends events without end that say nothing");
}

TEST_F(HttpEndpointTest, TellsAPartOfThisServerWhoAsksAndForHowLong) {
  HttpEndpoint endpoint(options(true), clients_);
  const Usage usage = stream(endpoint, {.deadline = Deadline::after(1h), .tenant = "Bearer secret"});
  EXPECT_EQ(handler_.path, "/v1/completions");
  EXPECT_EQ(handler_.body, R"({"model":"m","prompt":"p","stream":true})");
  EXPECT_EQ(handler_.headers["x-request-id"], "id-1");
  EXPECT_EQ(handler_.headers["x-api-key"].size(), 16U);
  EXPECT_EQ(handler_.headers["x-api-key"].find("secret"), std::string::npos);
  EXPECT_NEAR(std::stod(handler_.headers["x-autoglm-timeout-ms"]), 3'600'000, 60'000);
  EXPECT_EQ(usage.prompt_tokens, 5U);
  EXPECT_EQ(usage.cached_tokens, 2U);
  EXPECT_EQ(usage.completion_tokens, 7U);
  const std::string first = handler_.headers["x-api-key"];
  stream(endpoint, {.tenant = "another"});
  EXPECT_NE(handler_.headers["x-api-key"], first);
  EXPECT_FALSE(handler_.headers.contains("x-autoglm-timeout-ms"));
}

TEST_F(HttpEndpointTest, TellsAPartOfThisServerTheGroupAndWhatGroupsOwn) {
  const auto shares = std::make_shared<LiveGroupShares>();
  HttpEndpointOptions told = options(true);
  told.shares = shares;
  HttpEndpoint endpoint(told, clients_);
  const auto caller = std::make_shared<const Caller>(Caller{.key = "k", .tenant = "t", .group = "a chat"});
  stream(endpoint, {.priority = 7, .caller = caller});
  EXPECT_EQ(handler_.headers["x-priority"], "7");
  EXPECT_FALSE(handler_.headers.contains("x-autoglm-group")) << "no group owns a share";
  shares->set({{.name = "a chat", .share = 0.5}});
  stream(endpoint, {.caller = caller});
  EXPECT_FALSE(handler_.headers.contains("x-priority"));
  EXPECT_EQ(handler_.headers["x-autoglm-group"], "a%20chat");
  EXPECT_EQ(handler_.headers["x-autoglm-shares"], "1;a%20chat=0.5/1/1;");
  HttpEndpoint elsewhere(options(false), clients_);
  stream(elsewhere, {.priority = 7, .caller = caller});
  for (const char* name : {"x-priority", "x-autoglm-group", "x-autoglm-shares"})
    EXPECT_FALSE(handler_.headers.contains(name)) << name;
}

TEST_F(HttpEndpointTest, TellsServersElsewhereNothingOfIt) {
  HttpEndpoint endpoint(options(false), clients_);
  stream(endpoint, {.deadline = Deadline::after(1h), .tenant = "Bearer secret"});
  EXPECT_EQ(handler_.headers.size(), 1U);  // the request's id
  EXPECT_NE(handler_.body.find(R"("return_token_ids":true)"), std::string::npos);
}

TEST_F(HttpEndpointTest, SaysWhatIsConfiguredButForPackedAnswers) {
  HttpEndpointOptions configured = options(false);
  configured.api_key = "k";
  configured.headers = {{"X-Team", "a\r\nX-Forged: b"}, {"accept-Encoding", "gzip"}};
  HttpEndpoint endpoint(std::move(configured), clients_);
  for (int i = 0; i < 2; ++i) {
    stream(endpoint, {});
    EXPECT_EQ(handler_.headers["x-team"], "a  X-Forged: b");
    EXPECT_EQ(handler_.headers["authorization"], "Bearer k");
    EXPECT_EQ(handler_.encodings, 1U);
    EXPECT_EQ(handler_.encoding, "identity");
  }
}

TEST_F(HttpEndpointTest, TheQueryOfItsAddressGoesWithEveryCall) {
  HttpEndpointOptions azure = options(false);
  azure.url.target = "/openai/deployments/x?api-version=2024-06-01";
  HttpEndpoint endpoint(std::move(azure), clients_);
  stream(endpoint, {});
  EXPECT_EQ(handler_.target, "/openai/deployments/x/completions?api-version=2024-06-01");
  stream(endpoint, {}, "api-version=1&user=u");
  EXPECT_EQ(handler_.target, "/openai/deployments/x/completions?api-version=2024-06-01&user=u");
  EXPECT_TRUE(run_task(loop_, endpoint.check("/status?deep=1", 5s)).has_value());
  EXPECT_EQ(handler_.target, "/openai/deployments/x/status?api-version=2024-06-01&deep=1");
  EXPECT_TRUE(run_task(loop_, endpoint.metrics_page(5s)).has_value());
  EXPECT_EQ(handler_.target, "/openai/deployments/x/metrics?api-version=2024-06-01");
}

TEST_F(HttpEndpointTest, OtherPathsAreBesideItsVersion) {
  EXPECT_EQ(root_of(http::Url::parse("http://h/v1?key=k").value()).target, "/?key=k");
  EXPECT_EQ(root_of(http::Url::parse("http://h/a/v1").value()).target, "/a");
  EXPECT_EQ(root_of(http::Url::parse("http://h").value()).target, "/");
}

TEST_F(HttpEndpointTest, SaysWhereItIsToTheLogAlone) {
  HttpEndpointOptions nobody = options(false);
  nobody.dialer = nullptr;
  nobody.url = http::Url::parse("http://127.0.0.1:1/v1").value();
  HttpEndpoint endpoint(std::move(nobody), clients_);
  auto request = std::make_shared<const InferenceRequest>(
      InferenceRequest{.model = "m",
                       .work = GenerateRequest{},
                       .wire = {.protocol = WireBody::Protocol::kCompletions, .bytes = "{}"}});
  const auto events = run_task(loop_, endpoint.generate(request, {}));
  ASSERT_FALSE(events.has_value());
  EXPECT_EQ(events.error().message, "the endpoint cannot be reached");
  EXPECT_EQ(events.error().reason, "connect_failed");
  EXPECT_NE(events.error().log_message().find("127.0.0.1:1"), std::string::npos)
      << events.error().log_message();
}

TEST_F(HttpEndpointTest, ALongWholeAnswerIsLookedIntoElsewhere) {
  clients_.share(nullptr, &pool_);
  HttpEndpoint endpoint(options(false), clients_);
  for (const std::size_t size : {10UZ, 2'000'000UZ}) {
    handler_.answer = answer_of(size);
    std::binary_semaphore may_look{0};
    constexpr int kEnough = 200;
    const bool is_long = size > 1'000'000;
    if (is_long) ASSERT_TRUE(pool_.submit([&] { may_look.acquire(); }));
    run_task(loop_, [&]() -> Task<void> {
      auto events = co_await whole(endpoint);
      // Given up at any place, the next call continues there.
      for (int steps = 0;; ++steps) {
        if (is_long && steps == kEnough) may_look.release();
        std::optional<Result<EventBatch>> batch;
        Scope asking;
        asking.spawn([](EventStream& from, std::optional<Result<EventBatch>>& to) -> Task<void> {
          to = co_await from.next();
        }(*events, batch));
        for (int i = 0; i < steps && !batch; ++i) co_await yield_to_loop();
        if (!batch) continue;
        EXPECT_TRUE(batch->has_value());
        EXPECT_EQ((*batch)->raw, handler_.answer);
        EXPECT_EQ((*batch)->usage->completion_tokens, 4U);
        EXPECT_EQ(is_long, steps >= kEnough) << "the pool had its turn";
        co_return;
      }
    }());
  }
}

TEST_F(HttpEndpointTest, ALongWholeAnswerThatIsNoneIsRefused) {
  clients_.share(nullptr, &pool_);
  HttpEndpoint endpoint(options(false), clients_);
  handler_.answer = std::string(500'000, '{');
  run_task(loop_, [&]() -> Task<void> {
    auto events = co_await whole(endpoint);
    const auto batch = co_await events->next();
    EXPECT_EQ(batch.error().code, ErrorCode::kBadGateway);
  }());
}

/// As with a chat's, the answer has to be JSON, and no error.
TEST_F(HttpEndpointTest, AnswersOfGenerateAreLookedIntoAsOthersAre) {
  HttpEndpoint endpoint(options(false), clients_);
  const auto ask = [&](bool stream, std::string answer) {
    handler_.answer = std::move(answer);
    auto request = std::make_shared<const InferenceRequest>(InferenceRequest{
        .model = "m",
        .work = GenerateRequest{},
        .wire = {.protocol = WireBody::Protocol::kGenerate, .stream = stream, .bytes = "{}"}});
    return run_task(loop_, [&]() -> Task<std::pair<std::string, std::string>> {
      auto events = co_await endpoint.generate(request, {});
      std::string passed;
      while (true) {
        auto batch = co_await (*events)->next();
        if (!batch) co_return std::pair(passed, batch.error().message);
        passed += batch->raw;
        if (batch->last()) co_return std::pair(passed, std::string());
      }
    }());
  };
  using Outcome = std::pair<std::string, std::string>;
  const std::string none = "the endpoint sent an answer that is no JSON object";
  const std::string error = R"({"error":{"message":"out of memory"}})";
  const std::string one = R"({"text":["a"]})";
  for (const bool stream : {false, true}) {
    EXPECT_EQ(ask(stream, one), Outcome(one, ""));
    EXPECT_EQ(ask(stream, "<html>busy</html>"), Outcome("", none));
    EXPECT_EQ(ask(stream, "[1]"), Outcome("", none));
    EXPECT_EQ(ask(stream, error), Outcome("", "out of memory"));
    EXPECT_EQ(ask(stream, one.substr(0, 9)), Outcome("", none));
  }
  for (const char delimiter : {'\n', '\0'}) {
    const std::string two = one + delimiter + R"({"text":["ab"]})" + delimiter;
    EXPECT_EQ(ask(true, two), Outcome(two, ""));
    EXPECT_EQ(ask(true, two + error + delimiter), Outcome(two, "out of memory"));
    EXPECT_EQ(ask(true, two + "{\"te"), Outcome(two, none));
  }
  EXPECT_EQ(ask(true, "\n"), Outcome("", "the endpoint's stream ended without an answer"));
  EXPECT_EQ(ask(true, std::string(5'000'000, ' ')), Outcome("", "the endpoint sent an event without end"));
}

TEST_F(HttpEndpointTest, AnswersShareABoundedMemory) {
  const auto memory = std::make_shared<http::BodyMemory>(1'500'000);
  clients_.share(memory, &pool_);
  HttpEndpoint endpoint(options(false), clients_);
  handler_.answer = answer_of(700'000);
  run_task(loop_, [&]() -> Task<void> {
    auto first = co_await whole(endpoint);
    EXPECT_TRUE((co_await first->next()).has_value());
    EXPECT_GE(memory->used(), 700'000U);
    auto second = co_await whole(endpoint);
    const auto refused = co_await second->next();
    EXPECT_EQ(refused.error().code, ErrorCode::kUnavailable);
    EXPECT_EQ(refused.error().origin, Origin::kLocal);
    EXPECT_EQ(refused.error().reason, "answer_memory");
    EXPECT_TRUE(refused.error().retry_after.has_value());
    second.reset();
    first.reset();
    EXPECT_EQ(memory->used(), 0U);
    auto third = co_await whole(endpoint);
    EXPECT_TRUE((co_await third->next()).has_value());
  }());
}

TEST_F(HttpEndpointTest, LetsAPartOfThisServerTokenize) {
  HttpEndpoint endpoint(options(true), clients_);
  handler_.answer = R"({"count":2,"max_model_len":64,"tokens":[3,4]})";
  const auto result = run_task(loop_, call(endpoint, TokenizeRequest{.prompt = TextPrompt{"Hi"}}, {}));
  ASSERT_TRUE(result.has_value());
  EXPECT_EQ(handler_.path, "/tokenize");
  EXPECT_EQ(handler_.body, R"({"return_token_strs":false,"parse_special":true,"prompt":"Hi"})");
  EXPECT_EQ(result->tokens, (std::vector<TokenId>{3, 4}));
  handler_.answer = R"({"prompt":"Hi"})";
  EXPECT_EQ(run_task(loop_, call(endpoint, DetokenizeRequest{{3, 4}}, {})).value().text, "Hi");
  EXPECT_EQ(handler_.body, R"({"tokens":[3,4]})");
}

}  // namespace
}  // namespace autoglm::gateway
