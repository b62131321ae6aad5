#include "gateway/endpoint/translated_stream.h"

#include "gateway/endpoint/endpoint_factory.h"
#include "gateway/endpoint/http_endpoint.h"
#include "http/server.h"
#include "runtime/handover.h"
#include "runtime/testing/run_task.h"

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace autoglm::gateway {
namespace {

using namespace std::chrono_literals;
using Protocol = cluster::EndpointProtocol;

/// Answers with what it is told, and keeps what it was asked last.
class Scripted final : public http::Handler {
 public:
  Task<void> handle(http::Request& request, http::ResponseWriter& response) override {
    target = request.target;
    body = request.body;
    for (const char* name : {"x-api-key", "anthropic-version", "api-key", "authorization"})
      headers[name] = request.headers.find(name).value_or("");
    co_await response.send(status, "text/event-stream", answer);
  }
  std::pair<std::string, std::string_view> refused(const http::Refusal&, const std::string&) override {
    return {};
  }

  int status = 200;
  std::string answer;
  std::string target;
  std::string body;
  std::map<std::string, std::string> headers;
};

class TranslatedStreamTest : public ::testing::Test {
 protected:
  TranslatedStreamTest() {
    auto ends = make_handover();
    dialer_ = std::make_shared<HandoverDialer>(ends->first.take(), "server");
    clients_.reserve(loop_);
    run_task(loop_, [&, fd = ends->second.take()]() -> Task<void> {
      clients_.attach(loop_, std::make_unique<http::Client>(pool_, nullptr));
      server_.emplace(std::make_unique<HandoverListener>(loop_, fd, [] {}), http::ServerLimits(), handler_);
      server_->start();
      co_return;
    }());
  }

  std::unique_ptr<HttpEndpoint> endpoint(Protocol protocol, std::string target = "/") {
    return std::make_unique<HttpEndpoint>(
        HttpEndpointOptions{.url = {.host = {"server", 80}, .target = std::move(target)},
                            .api_key = "k",
                            .codec = client_codec(protocol),
                            .dialer = dialer_},
        clients_);
  }

  /// The text of an answer; after a slash its usage, or its error.
  std::string ask(HttpEndpoint& endpoint, Work work) {
    auto request = std::make_shared<const InferenceRequest>(
        InferenceRequest{.id = "id-1", .model = "m", .work = std::move(work), .wire = {}});
    return run_task(loop_, [&]() -> Task<std::string> {
      auto events = co_await endpoint.generate(request, {});
      if (!events) co_return "/" + events.error().message;
      std::string text;
      while (true) {
        auto batch = co_await (*events)->next();
        if (!batch) co_return text + "/" + batch.error().message;
        EXPECT_TRUE(batch->raw.empty());
        for (const TokenEvent& event : batch->events) text += event.text;
        if (!batch->last()) continue;
        answer_ = batch->answer;
        EXPECT_FALSE((co_await (*events)->next()).has_value()) << "it is over";
        co_return text + "/" + std::to_string(batch->usage->completion_tokens);
      }
    }());
  }
  static GenerateRequest chat() {
    return {.prompts = {ChatPrompt{.messages = {{.role = "user", .content = "Hi"}}}}};
  }
  static EmbedRequest embed() { return {.inputs = {TextPrompt{"a"}}}; }

  EventLoop loop_;
  BlockingPool pool_{1, 8};
  HttpClients clients_;
  Scripted handler_;
  std::shared_ptr<HandoverDialer> dialer_;
  std::optional<http::Server> server_;
  std::shared_ptr<const WholeAnswer> answer_;
};

TEST_F(TranslatedStreamTest, GivesTheEventsOfTheAnswer) {
  const auto ollama = endpoint(Protocol::kOllama, "/v1");
  handler_.answer =
      "{\"message\":{\"content\":\"a\"},\"done\":false}\n{\"message\":{},\"done\":true,\"eval_count\":3}\n";
  EXPECT_EQ(ask(*ollama, chat()), "a/3");
  EXPECT_EQ(handler_.target, "/api/chat");
}

TEST_F(TranslatedStreamTest, WhatCameBeforeAFailureGoesOut) {
  const auto ollama = endpoint(Protocol::kOllama);
  handler_.answer = "{\"message\":{\"content\":\"a\"},\"done\":false}\n{\"error\":\"gone\"}\n";
  EXPECT_EQ(ask(*ollama, chat()), "a/gone");
  handler_.answer = "{\"message\":{\"content\":\"a\"},\"done\":false}\n";
  EXPECT_EQ(ask(*ollama, chat()), "a/the endpoint's stream ended before the answer did");
}

TEST_F(TranslatedStreamTest, AClientsWrongPathIsNoFaultOfTheEndpoint) {
  const auto openai = endpoint(Protocol::kOpenAi, "/v1");
  handler_.status = 404;
  handler_.answer = R"({"detail":"Not Found"})";
  using Passed = WireBody::Protocol;
  const auto to_blame = [&](Passed protocol, Work work) {
    auto request = std::make_shared<const InferenceRequest>(
        InferenceRequest{.id = "id-1",
                         .model = "m",
                         .work = std::move(work),
                         .wire = {.protocol = protocol, .bytes = R"({"model":"m"})", .names_model = true}});
    return run_task(loop_, [&]() -> Task<Origin> {
      auto events = co_await openai->generate(request, {});
      co_return events ? Origin::kLocal : events.error().origin;
    }());
  };
  const ScoreRequest score{.queries = {"q"}, .documents = {"d"}};
  EXPECT_EQ(to_blame(Passed::kEmbeddings, embed()), Origin::kClient);
  EXPECT_EQ(to_blame(Passed::kRerank, OpaqueRequest()), Origin::kClient);
  EXPECT_EQ(to_blame(Passed::kScore, score), Origin::kClient);
  EXPECT_EQ(to_blame(Passed::kNone, embed()), Origin::kClient) << "translated";
  EXPECT_EQ(to_blame(Passed::kNone, score), Origin::kClient) << "translated";
  EXPECT_EQ(to_blame(Passed::kChat, chat()), Origin::kEndpoint);
  handler_.status = 401;
  EXPECT_EQ(to_blame(Passed::kEmbeddings, embed()), Origin::kEndpoint) << "the key is ours";
}

TEST_F(TranslatedStreamTest, ARefusalHasNoWordsOfTheServersProtocol) {
  const auto anthropic = endpoint(Protocol::kAnthropic);
  handler_.status = 400;
  handler_.answer = R"({"type":"error","error":{"type":"invalid_request_error","message":"too long"}})";
  auto request = std::make_shared<const InferenceRequest>(
      InferenceRequest{.id = "id-1", .model = "m", .work = chat(), .wire = {}});
  const auto refused = run_task(loop_, anthropic->generate(request, {}));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message, "too long");
  EXPECT_EQ(refused.error().origin, Origin::kClient);
  EXPECT_EQ(refused.error().said, nullptr);
}

TEST_F(TranslatedStreamTest, EachProtocolHasItsHeadersAndItsHealth) {
  struct Row {
    Protocol protocol;
    const char* header;
    const char* value;
    const char* health;
  };
  for (const Row& row :
       {Row{Protocol::kOpenAi, "authorization", "Bearer k", "/health"},
        Row{Protocol::kOllama, "authorization", "Bearer k", "/api/version"},
        Row{Protocol::kTei, "authorization", "Bearer k", "/health"},
        Row{Protocol::kTriton, "authorization", "Bearer k", "/v2/health/ready"},
        Row{Protocol::kKserve, "authorization", "Bearer k", "/v2/health/ready"},
        Row{Protocol::kAnthropic, "x-api-key", "k", ""}, Row{Protocol::kAzure, "api-key", "k", ""}}) {
    const auto made = endpoint(row.protocol);
    (void)ask(*made, chat());
    if (row.protocol != Protocol::kTei && row.protocol != Protocol::kTriton &&
        row.protocol != Protocol::kKserve) {
      EXPECT_EQ(handler_.headers[row.header], row.value);
      EXPECT_EQ(handler_.headers["anthropic-version"].empty(), row.protocol != Protocol::kAnthropic);
    }
    handler_.target.clear();
    EXPECT_TRUE(run_task(loop_, made->check("/health", 5s)));
    if (row.protocol != Protocol::kOpenAi) EXPECT_EQ(handler_.target, row.health);
    EXPECT_TRUE(run_task(loop_, made->check("/mine", 5s)));
    if (row.protocol != Protocol::kOpenAi) EXPECT_EQ(handler_.target, "/mine") << "as it is configured";
    EXPECT_EQ(made->judges_bodies(), row.protocol == Protocol::kOpenAi || row.protocol == Protocol::kAzure);
  }
}

TEST_F(TranslatedStreamTest, AConfiguredHeaderTakesThePlaceOfTheProtocols) {
  HttpEndpoint anthropic({.url = {.host = {"server", 80}, .target = "/"},
                          .api_key = "k",
                          .headers = {{"Anthropic-Version", "2026-01-01"}},
                          .codec = client_codec(Protocol::kAnthropic),
                          .dialer = dialer_},
                         clients_);
  (void)ask(anthropic, chat());
  EXPECT_EQ(handler_.headers["anthropic-version"], "2026-01-01");
  EXPECT_EQ(handler_.headers["x-api-key"], "k");
}

/// Bodies of embeddings and scores pass to servers with OpenAI's API, and their usage is read.
TEST_F(TranslatedStreamTest, BodiesOfOpenAisOwnClientsPass) {
  using Wire = WireBody::Protocol;
  const auto openai = endpoint(Protocol::kOpenAi, "/v1");
  const auto pass = [&](Wire protocol, Work work, std::string answer) {
    handler_.answer = std::move(answer);
    auto request = std::make_shared<const InferenceRequest>(InferenceRequest{
        .id = "id-1",
        .model = "m",
        .work = std::move(work),
        .wire = {.protocol = protocol, .bytes = R"({"model":"m","x":1})", .names_model = true}});
    return run_task(loop_, [&]() -> Task<std::string> {
      auto events = co_await openai->generate(request, {});
      auto batch = co_await (*events)->next();
      if (!batch) co_return batch.error().message;
      EXPECT_EQ(batch->raw, handler_.answer);
      EXPECT_EQ(handler_.body, R"({"model":"m","x":1})");
      co_return handler_.target + " " + std::to_string(batch->usage->prompt_tokens);
    }());
  };
  EXPECT_EQ(pass(Wire::kEmbeddings, embed(), R"({"data":[{"embedding":[1]}],"usage":{"prompt_tokens":5}})"),
            "/v1/embeddings 5");
  EXPECT_EQ(pass(Wire::kRerank, ScoreRequest{}, R"({"results":[],"usage":{"total_tokens":7}})"),
            "/v1/rerank 7");
  EXPECT_EQ(pass(Wire::kScore, ScoreRequest{}, R"({"data":[]})"), "/v1/score 0");
  EXPECT_EQ(pass(Wire::kEmbeddings, embed(), R"({"error":{"message":"too long"}})"), "too long");
  EXPECT_EQ(pass(Wire::kEmbeddings, embed(), "{}"), "the endpoint sent an answer without any result");
}

TEST_F(TranslatedStreamTest, ALongDocumentIsReadOnThePool) {
  const auto tei = endpoint(Protocol::kTei);
  handler_.answer = "[[";
  for (int i = 0; i < 100'000; ++i) handler_.answer += "0.25,";
  handler_.answer += "1]]";
  clients_.share(nullptr, &pool_);
  EXPECT_EQ(ask(*tei, embed()), "/0");
  EXPECT_EQ(std::get<EmbedResult>(*answer_).vectors.at(0).size(), 100'001U);
  handler_.answer.pop_back();
  EXPECT_EQ(ask(*tei, embed()), "/the endpoint sent an answer that is no JSON");
}

TEST_F(TranslatedStreamTest, AnAnswerThatIsTooLargeWasAskedFor) {
  handler_.answer = std::string((std::size_t{64} << 20U) + 1, ' ');
  for (const auto protocol : {WireBody::Protocol::kNone, WireBody::Protocol::kEmbeddings}) {
    const auto openai = endpoint(Protocol::kOpenAi, "/v1");
    auto request = std::make_shared<const InferenceRequest>(
        InferenceRequest{.id = "id-1",
                         .model = "m",
                         .work = embed(),
                         .wire = {.protocol = protocol, .bytes = R"({"model":"m"})", .names_model = true}});
    const Error error = run_task(loop_, [&]() -> Task<Error> {
      auto events = co_await openai->generate(request, {});
      auto batch = co_await (*events)->next();
      co_return batch ? Error{} : batch.error();
    }());
    EXPECT_EQ(error.code, ErrorCode::kPayloadTooLarge);
    EXPECT_EQ(error.origin, Origin::kClient);
    EXPECT_EQ(error.retry, Retry::kNever);
    EXPECT_NE(error.message.find("ask for fewer"), std::string::npos);
  }
}

TEST_F(TranslatedStreamTest, AnswersShareABoundedMemory) {
  const auto memory = std::make_shared<http::BodyMemory>(100'000);
  clients_.share(memory, nullptr);
  const auto tei = endpoint(Protocol::kTei);
  handler_.answer = std::string(300'000, ' ');
  EXPECT_NE(ask(*tei, embed()).find("memory"), std::string::npos);
  EXPECT_EQ(memory->used(), 0U);
}

}  // namespace
}  // namespace autoglm::gateway
