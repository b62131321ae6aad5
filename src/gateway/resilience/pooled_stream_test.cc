// Translated answers that break: what the client has been told is not told again.
#include "gateway/resilience/pooled_stream.h"

#include "cluster/testing/fake_checks.h"
#include "gateway/resilience/model_pool.h"
#include "gateway/routing/round_robin/round_robin_balancer.h"
#include "runtime/testing/run_task.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace autoglm::gateway {
namespace {

using namespace std::chrono_literals;

class ScriptedStream final : public EventStream {
 public:
  ScriptedStream(std::vector<EventBatch> batches, bool tells_tokens)
      : batches_(std::move(batches)), tells_tokens_(tells_tokens) {}
  Task<Result<EventBatch>> next() override {
    if (at_ < batches_.size()) co_return std::move(batches_[at_++]);
    co_return fail(Error{.code = ErrorCode::kBadGateway,
                         .origin = Origin::kEndpoint,
                         .retry = Retry::kElsewhere,
                         .message = "it broke"});
  }
  bool tells_tokens() const override { return tells_tokens_; }

 private:
  std::vector<EventBatch> batches_;
  std::size_t at_ = 0;
  bool tells_tokens_;
};

/// An endpoint whose answers are these batches; one that does not end breaks behind them.
class ScriptedEndpoint final : public Endpoint {
 public:
  Task<Result<std::unique_ptr<EventStream>>> generate(InferenceRequestPtr request,
                                                      const CallContext&) override {
    requests.push_back(std::move(request));
    co_return std::make_unique<ScriptedStream>(batches, tells_tokens);
  }
  Task<Result<UnaryAnswer>> call(UnaryRequest, const CallContext&) override { co_return fail(Error()); }
  Continuation continuation(const InferenceRequest&) const override { return can; }
  ModelCard card() const override { return {}; }
  EndpointStatus status() const override { return {.state = EndpointStatus::State::kReady}; }
  LoadReport load() const override { return {}; }

  std::vector<EventBatch> batches;
  bool tells_tokens = true;
  Continuation can = Continuation::kExact;
  std::vector<InferenceRequestPtr> requests;
};

class ScriptedFactory final : public EndpointFactory {
 public:
  std::vector<std::shared_ptr<ScriptedEndpoint>> made;
  Result<MemberEndpoint> make(const cluster::EndpointSpec&,
                              std::shared_ptr<std::atomic<ServerKind>>) override {
    made.push_back(std::make_shared<ScriptedEndpoint>());
    return MemberEndpoint{.endpoint = made.back(), .checks = std::make_shared<cluster::FakeChecks>()};
  }
};

EventBatch events_of(std::vector<TokenEvent> events, std::optional<Usage> usage = {}) {
  EventBatch batch;
  batch.events = std::move(events);
  batch.usage = usage;
  return batch;
}

class PooledStreamTest : public ::testing::Test {
 protected:
  PooledStreamTest() {
    PoolConfig config;
    config.endpoints = {{.url = "http://a/v1"}, {.url = "http://b/v1", .backup = true}};
    auto factory = std::make_unique<ScriptedFactory>();
    factory_ = factory.get();
    pool_ = ModelPool::create("m", config,
                              {.factory = std::move(factory),
                               .answer_memory = nullptr,
                               .metrics = registry_,
                               .log = *log_,
                               .balancer = make_round_robin,
                               .records = records_,
                               .loops = 1,
                               .request_timeout = 30s,
                               .find_model = [](const std::string&) { return nullptr; }})
                .value();
    pool_->take_effect();
  }
  ScriptedEndpoint& first() { return *factory_->made.at(0); }
  ScriptedEndpoint& second() { return *factory_->made.at(1); }

  /// What a client hears of the answer to a request that has bytes of its own protocol.
  std::string hear(GenerateRequest work) {
    auto request = std::make_shared<InferenceRequest>();
    request->model = "m";
    request->work = std::move(work);
    request->wire = {.protocol = WireBody::Protocol::kChat, .stream = true, .bytes = "{}"};
    return run_task(loop_, [&]() -> Task<std::string> {
      auto stream = co_await pool_->generate(request, {.deadline = Deadline::never()});
      std::string said;
      while (true) {
        const auto batch = co_await (*stream)->next();
        if (!batch) co_return said + "error";
        for (const TokenEvent& event : batch->events) {
          said += fmt::format("{}:{}", event.choice, event.text);
          said += event.finish ? fmt::format("({}) ", to_string(*event.finish)) : " ";
        }
        if (batch->last()) co_return said + fmt::format("{}", batch->usage->completion_tokens);
      }
    }());
  }

  EventLoop loop_;
  observe::MetricRegistry registry_;
  std::unique_ptr<observe::Logger> log_ = observe::Logger::create({.file = "/dev/null"}).value();
  EndpointRecords records_{registry_, "m"};
  ScriptedFactory* factory_ = nullptr;
  std::unique_ptr<ModelPool> pool_;
};

TEST_F(PooledStreamTest, AChoiceThatHasEndedEndsOnce) {
  first().batches = {events_of({{.choice = 0, .tokens = {1}, .text = "a", .finish = FinishReason::kStop},
                                {.choice = 1, .tokens = {2}, .text = "b"}})};
  // A server that goes on says once more which choices have ended, and the other's end may have no token.
  second().batches = {
      events_of({{.choice = 0, .finish = FinishReason::kStop}, {.choice = 1, .tokens = {3}, .text = "c"}}),
      events_of({{.choice = 1, .finish = FinishReason::kLength}}, Usage{.completion_tokens = 3})};
  EXPECT_EQ(hear({.n = 2}), "0:a(stop) 1:b 1:c 1:(length) 3");
  const InferenceRequest& rest = *second().requests.at(0);
  EXPECT_EQ(rest.generation()->resume, (std::vector<std::vector<TokenId>>{{1}, {2}}));
  EXPECT_EQ(rest.wire.protocol, WireBody::Protocol::kNone) << "it stays translated";
  EXPECT_TRUE(rest.wire.stream);
  EXPECT_TRUE(rest.wire.bytes.empty());
}

TEST_F(PooledStreamTest, ATranslatedAnswerIsContinuedFromItsText) {
  first().tells_tokens = second().tells_tokens = false;
  second().can = Continuation::kText;
  first().batches = {events_of({{.text = "a"}}), events_of({{.text = "b"}})};
  second().batches = {
      events_of({{.text = "c"}}),
      events_of({{.finish = FinishReason::kStop}}, Usage{.prompt_tokens = 9, .completion_tokens = 1})};
  EXPECT_EQ(hear({.prompts = {ChatPrompt{}}}), "0:a 0:b 0:c 0:(stop) 3");
  EXPECT_EQ(second().requests.at(0)->generation()->resume_text, "ab");
}

TEST_F(PooledStreamTest, ATranslatedAnswerWithAllItsTextLacksOnlyItsEnd) {
  first().tells_tokens = false;
  first().batches = {events_of({{.text = "a"}, {.text = "b"}})};
  GenerateRequest two{.prompts = {ChatPrompt{}}};
  two.stop.max_tokens = 2;
  EXPECT_EQ(hear(two), "0:a 0:b 0:(length) 2");
  first().batches = {events_of({{.text = "a", .finish = FinishReason::kStop}})};
  EXPECT_EQ(hear({.prompts = {ChatPrompt{}}}), "0:a(stop) 1");
  EXPECT_TRUE(second().requests.empty());
}

TEST_F(PooledStreamTest, AChoiceThatNobodyAskedForIsLeftOut) {
  first().batches = {
      events_of({{.choice = 0, .tokens = {1}, .text = "a"}, {.choice = 7, .text = "x"}}),
      events_of({{.choice = 0, .finish = FinishReason::kStop}}, Usage{.completion_tokens = 1})};
  EXPECT_EQ(hear({}), "0:a 0:(stop) 1");
}

}  // namespace
}  // namespace autoglm::gateway
