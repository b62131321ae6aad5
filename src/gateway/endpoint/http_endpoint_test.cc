#include "gateway/endpoint/http_endpoint.h"

#include "http/server.h"
#include "runtime/handover.h"
#include "runtime/testing/run_task.h"

#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <string>

namespace autoglm::gateway {
namespace {

using namespace std::chrono_literals;

/// A server that keeps what it was asked.
class RecordingHandler final : public http::Handler {
 public:
  Task<void> handle(http::Request& request, http::ResponseWriter& response) override {
    path = request.path;
    body = request.body;
    headers.clear();
    encodings = request.headers.count("accept-encoding");
    encoding = request.headers.find("accept-encoding").value_or("");
    for (const char* name : {"x-api-key", "x-autoglm-timeout-ms", "x-autoglm-tell-usage", "x-request-id",
                             "x-team", "authorization"}) {
      if (const auto value = request.headers.find(name)) headers[name] = *value;
    }
    co_await response.send(200, "text/event-stream", answer);
  }
  std::pair<std::string, std::string_view> refused(const http::Refusal&, const std::string&) override {
    return {};
  }

  std::string answer;
  std::string path;
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

  /// A stream that is asked for and read to its end; its usage.
  Usage stream(HttpEndpoint& endpoint, const CallContext& context) {
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
                                  .names_model = true}});
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

  EventLoop loop_;
  BlockingPool pool_{1, 8};
  HttpClients clients_;
  RecordingHandler handler_;
  std::shared_ptr<HandoverDialer> dialer_;
  std::optional<http::Server> server_;
};

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

TEST_F(HttpEndpointTest, LetsAPartOfThisServerTokenize) {
  HttpEndpoint endpoint(options(true), clients_);
  handler_.answer = R"({"count":2,"max_model_len":64,"tokens":[3,4]})";
  const auto result = run_task(loop_, endpoint.tokenize({.prompt = TextPrompt{"Hi"}}));
  ASSERT_TRUE(result.has_value());
  EXPECT_EQ(handler_.path, "/tokenize");
  EXPECT_EQ(handler_.body, R"({"add_special_tokens":true,"prompt":"Hi"})");
  EXPECT_EQ(result->tokens, (std::vector<TokenId>{3, 4}));
  handler_.answer = R"({"prompt":"Hi"})";
  EXPECT_EQ(run_task(loop_, endpoint.detokenize({3, 4})).value(), "Hi");
  EXPECT_EQ(handler_.body, R"({"tokens":[3,4]})");
}

}  // namespace
}  // namespace autoglm::gateway
