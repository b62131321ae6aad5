// Memberships that are applied to a pool while requests are under way.
#include "gateway/resilience/model_pool.h"
#include "gateway/resilience/testing/fake_factory.h"
#include "gateway/routing/round_robin/round_robin_balancer.h"
#include "runtime/scope.h"
#include "runtime/testing/for_turns.h"
#include "runtime/testing/run_task.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace autoglm::gateway {
namespace {

using namespace std::chrono_literals;

cluster::EndpointSpec spec(const std::string& name, std::uint32_t most = 0) {
  return {.url = "http://" + name + "/v1", .max_connections = most};
}

class ModelPoolTest : public ::testing::Test {
 public:
  void make(std::vector<cluster::EndpointSpec> endpoints) {
    config_.endpoints = std::move(endpoints);
    auto factory = std::make_unique<FakeFactory>();
    factory_ = factory.get();
    pool_ = ModelPool::create("m", config_,
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
  void apply(const std::vector<cluster::EndpointSpec>& endpoints) {
    ASSERT_TRUE(pool_->apply(cluster::membership_of(endpoints)));
  }
  void sweep() {
    pool_->sweep();
    records_.sweep(std::chrono::steady_clock::now());
  }
  Task<std::unique_ptr<EventStream>> open() {
    auto request = std::make_shared<InferenceRequest>();
    request->work = GenerateRequest{};
    const CallContext context{.deadline = Deadline::never()};
    auto opened = co_await pool_->generate(std::move(request), context);
    EXPECT_TRUE(opened) << opened.error().message;
    co_return opened ? std::move(*opened) : nullptr;
  }
  static std::string endpoint_of(const std::unique_ptr<EventStream>& stream) {
    return stream == nullptr ? "none" : stream->origin()->endpoint;
  }
  /// Reads an answer to its end.
  static Task<std::string> rest_of(EventStream& stream) {
    std::string text;
    while (true) {
      const auto batch = co_await stream.next();
      EXPECT_TRUE(batch) << batch.error().message;
      if (!batch) co_return text;
      for (const TokenEvent& event : batch->events) text += event.text;
      if (batch->last()) co_return text;
    }
  }
  /// Whether the metrics tell its state.
  bool is_shown(const std::string& endpoint) {
    const std::string gauge = "autoglm_endpoint_healthy{model=\"m\",endpoint=\"" + endpoint + "\"}";
    return registry_.serialize().find(gauge) != std::string::npos;
  }
  ModelPool::MemberView view(std::size_t index) { return pool_->members().at(index); }

  EventLoop loop_;
  PoolConfig config_;
  observe::MetricRegistry registry_;
  std::unique_ptr<observe::Logger> log_ = observe::Logger::create({.file = "/dev/null"}).value();
  EndpointRecords records_{registry_, "m"};
  FakeFactory* factory_ = nullptr;  // the pool's
  std::unique_ptr<ModelPool> pool_;
};

TEST_F(ModelPoolTest, OneChangeAmongTenThousandBeginsTheChecksOfOne) {
  std::vector<cluster::EndpointSpec> all;
  for (int i = 0; i < 10'000; ++i) all.push_back(spec("e" + std::to_string(i)));
  make(all);
  run_task(loop_, [](ModelPoolTest& t, std::vector<cluster::EndpointSpec>& specs) -> Task<void> {
    Scope scope;
    scope.spawn(t.pool_->watch());
    EXPECT_EQ(t.pool_->health_watch().begun(), 10'000U);
    specs[5000] = spec("another");
    t.apply(specs);
    EXPECT_EQ(t.pool_->health_watch().begun(), 10'001U);
    EXPECT_EQ(t.pool_->health_watch().size(), 10'000U);
    EXPECT_EQ(t.factory_->made.size(), 10'001U);
    t.apply(specs);
    EXPECT_EQ(t.pool_->health_watch().begun(), 10'001U) << "the same once more";
    EXPECT_EQ(t.factory_->made.size(), 10'001U);
    co_return;
  }(*this, all));
}

TEST_F(ModelPoolTest, ManyThatComeTogetherAreNotCheckedAtOnce) {
  std::vector<cluster::EndpointSpec> all = {spec("a")};
  make(all);
  for (int i = 0; i < 5000; ++i) all.push_back(spec("e" + std::to_string(i)));
  run_task(loop_, [](ModelPoolTest& t, const std::vector<cluster::EndpointSpec>& specs) -> Task<void> {
    Scope scope;
    scope.spawn(t.pool_->watch());
    t.apply(specs);
    while (t.factory_->checks[1]->asked == 0) co_await turns(1);
    const auto asked =
        std::ranges::count_if(t.factory_->checks, [](const auto& each) { return each->asked > 0; });
    EXPECT_LT(asked, 2500) << "they are spread over five seconds";
  }(*this, all));
}

TEST_F(ModelPoolTest, WhoStaysKeepsAllThatIsKnownOfIt) {
  config_.breaker.request_volume = 1;
  make({spec("a"), spec("b")});
  const auto now = std::chrono::steady_clock::now();
  const auto a = records_.of(http::Url::parse("http://a/v1").value(), config_.breaker);
  a->kind->store(ServerKind::kOurs);
  a->state.reported = 9;
  a->state.health.eject(1h, now);
  a->breaker.try_acquire(now - 1s)->failure(now - 1s);
  ASSERT_EQ(view(0).breaker, CircuitBreaker::State::kClosed);
  a->breaker.admits(now);
  const auto* const state = view(0).member.state.get();
  const auto* const endpoint = view(0).member.endpoint;
  run_task(loop_, [](ModelPoolTest& t) -> Task<void> {
    auto stream = co_await t.open();
    EXPECT_EQ(endpoint_of(stream), "b") << "a is out";
    t.apply({spec("c"), spec("a"), spec("b")});
    EXPECT_EQ(t.view(2).member.in_flight(), 1U);
    EXPECT_EQ(co_await rest_of(*stream), "Hello world");
    stream.reset();
    EXPECT_EQ(t.view(2).member.in_flight(), 0U);
  }(*this));
  const auto view = this->view(1);
  EXPECT_EQ(view.member.state.get(), state);
  EXPECT_EQ(view.member.endpoint, endpoint);
  EXPECT_EQ(view.breaker, CircuitBreaker::State::kOpen);
  EXPECT_GT(view.ejected_for, 50min);
  EXPECT_TRUE(view.ours());
  EXPECT_EQ(factory_->made.size(), 3U);
}

TEST_F(ModelPoolTest, RetriesUnderWayCountWhateverTheMembership) {
  config_.retry = {.max_attempts = 2, .budget_percent = 0};  // three in any case
  std::vector<cluster::EndpointSpec> all;
  for (int i = 0; i < 12; ++i) all.push_back(spec("e" + std::to_string(i)));
  make(all);
  for (std::size_t i = 0; i < 12; ++i) {
    FakeEndpoint& endpoint = *factory_->made[i];
    const bool hangs = i == 1 || i == 3 || i == 5;
    endpoint.hang_after_words = hangs;
    if (hangs) endpoint.words.clear();
    if (!hangs)
      endpoint.refuse_with =
          Error{.code = ErrorCode::kBadGateway, .origin = Origin::kEndpoint, .retry = Retry::kElsewhere};
  }
  run_task(loop_, [](ModelPoolTest& t, std::vector<cluster::EndpointSpec>& specs) -> Task<void> {
    const CallContext context{.deadline = Deadline::never()};
    const auto ask = [](ModelPoolTest& in, const CallContext& with) -> Task<void> {
      auto request = std::make_shared<InferenceRequest>();
      request->work = GenerateRequest{};
      EXPECT_FALSE(co_await in.pool_->generate(std::move(request), with));
    };
    Scope retrying;
    for (int i = 0; i < 3; ++i) {
      retrying.spawn(ask(t, context));
      while (t.factory_->made[2 * static_cast<std::size_t>(i) + 1]->open_streams == 0) co_await turns(1);
    }
    co_await ask(t, context);
    EXPECT_NE(t.registry_.serialize().find("autoglm_retries_total{model=\"m\"} 3\n"), std::string::npos);
    specs.back() = spec("another");
    t.apply(specs);
    co_await ask(t, context);
    EXPECT_NE(t.registry_.serialize().find("autoglm_retries_total{model=\"m\"} 3\n"), std::string::npos);
    EXPECT_EQ(retrying.size(), 3U);
  }(*this, all));
}

TEST_F(ModelPoolTest, AMemberThatLeftGoesOnWithItsAnswersAndIsThenForgotten) {
  make({spec("a")});
  std::weak_ptr<FakeEndpoint> left = factory_->made[0];
  factory_->made.clear();
  factory_->checks.clear();
  run_task(loop_, [](ModelPoolTest& t, std::weak_ptr<FakeEndpoint>& a) -> Task<void> {
    auto stream = co_await t.open();
    EXPECT_EQ(endpoint_of(stream), "a");
    t.apply({spec("b")});
    for (int i = 0; i < 3; ++i) EXPECT_EQ(endpoint_of(co_await t.open()), "b");
    t.sweep();
    EXPECT_FALSE(a.expired()) << "it answers";
    EXPECT_TRUE(t.is_shown("a"));
    EXPECT_EQ(co_await rest_of(*stream), "Hello world");
    t.sweep();
    EXPECT_FALSE(a.expired()) << "its stream is there";
    stream.reset();
    EXPECT_FALSE(a.expired()) << "it ends where it began: on the control loop";
    t.sweep();
  }(*this, left));
  EXPECT_TRUE(left.expired());
  EXPECT_FALSE(is_shown("a"));
  EXPECT_TRUE(is_shown("b"));
  EXPECT_EQ(records_.size(), 2U) << "it may come back";
  records_.sweep(std::chrono::steady_clock::now() + memory_of(config_));
  EXPECT_EQ(records_.size(), 1U);
}

TEST_F(ModelPoolTest, WhoComesBackWhileItStillAnswersIsTheSame) {
  make({spec("a")});
  run_task(loop_, [](ModelPoolTest& t) -> Task<void> {
    const auto stream = co_await t.open();
    t.apply({spec("b")});
    t.sweep();
    t.apply({spec("b"), spec("a", 1)});
    EXPECT_EQ(t.view(1).member.in_flight(), 1U);
    for (int i = 0; i < 4; ++i) EXPECT_EQ(endpoint_of(co_await t.open()), "b") << "the other is full";
  }(*this));
}

TEST_F(ModelPoolTest, WhoLeavesAndComesBackHasItsBreakersMemoryAndStartsSlowly) {
  config_.breaker = {.request_volume = 1};
  make({spec("a"), spec("b"), spec("c")});
  const auto now = [] { return std::chrono::steady_clock::now(); };
  const auto ramp = [&](std::size_t member) {
    return view(member).member.state->health.ramp(config_.health.slow_start, now());
  };
  auto b = records_.of(http::Url::parse("http://b/v1").value(), config_.breaker);
  b->breaker.try_acquire(now() - 1s)->failure(now() - 1s);
  b->breaker.admits(now());
  b->state.health.eject(30s, now());
  b.reset();
  apply({spec("a")});
  run_task(loop_, [](ModelPoolTest& t) -> Task<void> { (void)co_await t.open(); }(*this));
  sweep();
  sweep();
  apply({spec("a"), spec("b"), spec("c")});
  EXPECT_EQ(view(1).breaker, CircuitBreaker::State::kOpen);
  EXPECT_GT(view(1).ejected_for, 29s);
  EXPECT_EQ(view(1).member.state->health.times_ejected(), 1U);
  EXPECT_EQ(ramp(0), cluster::EndpointHealth::kWhole);
  EXPECT_LT(ramp(1), cluster::EndpointHealth::kWhole);
  EXPECT_LT(ramp(2), cluster::EndpointHealth::kWhole) << "one that was well, too";
}

TEST_F(ModelPoolTest, WhatIsReloadedDoesNotStartSlowly) {
  make({spec("a"), spec("b")});
  const auto slow = [this](std::size_t member) {
    return view(member).member.state->health.ramp(1h, std::chrono::steady_clock::now()) !=
           cluster::EndpointHealth::kWhole;
  };
  apply({spec("b", 3), spec("a")});
  EXPECT_FALSE(slow(0) || slow(1)) << "another order, and another part in the pool";
  auto other = spec("a");
  other.api_key = "k";
  apply({spec("b"), other});
  EXPECT_FALSE(slow(0) || slow(1)) << "asked otherwise, and made anew for it";
  const auto before = std::move(pool_);
  config_.retry.max_attempts = 1;
  make({spec("a"), spec("b")});
  EXPECT_FALSE(slow(0) || slow(1)) << "another pool, while the one before still answers";
  apply({spec("a"), spec("b"), spec("c")});
  EXPECT_FALSE(slow(2)) << "it was never away";
}

TEST_F(ModelPoolTest, WhoComesBackFromAnotherConfigurationHasThisOnesBreaker) {
  const auto b = records_.of(http::Url::parse("http://b/v1").value(), {.request_volume = 1000});
  config_.breaker.request_volume = 1;
  make({spec("a")});
  apply({spec("a"), spec("b")});
  const auto now = std::chrono::steady_clock::now();
  b->breaker.try_acquire(now - 1s)->failure(now - 1s);
  b->breaker.admits(now);
  EXPECT_EQ(view(1).breaker, CircuitBreaker::State::kOpen);
}

TEST_F(ModelPoolTest, RequestsThatWaitForAPlaceGetTheNewMembers) {
  make({spec("a", 1)});
  run_task(loop_, [](ModelPoolTest& t) -> Task<void> {
    const auto first = co_await t.open();
    std::vector<std::string> answered;
    Scope scope;
    const auto wait = [](ModelPoolTest& in, std::vector<std::string>& out) -> Task<void> {
      const auto stream = co_await in.open();
      out.push_back(endpoint_of(stream));
    };
    for (int i = 0; i < 3; ++i) scope.spawn(wait(t, answered));
    EXPECT_EQ(t.pool_->waiting(), 3U);
    t.apply({spec("a", 1), spec("b")});
    co_await scope.join();
    EXPECT_EQ(answered, (std::vector<std::string>(3, "b")));
    t.apply({spec("a", 1)});
    answered.clear();
    scope.spawn(wait(t, answered));
    EXPECT_EQ(t.pool_->waiting(), 1U);
    t.apply({spec("c")});  // who waited for a waits for it no more
    co_await scope.join();
    EXPECT_EQ(answered, (std::vector<std::string>{"c"}));
    EXPECT_EQ(endpoint_of(first), "a");
  }(*this));
}

TEST_F(ModelPoolTest, APoolWithoutMembersSaysSoUntilItHasSome) {
  make({spec("a")});
  apply({});
  run_task(loop_, [](ModelPoolTest& t) -> Task<void> {
    const CallContext context{.deadline = Deadline::never()};
    auto request = std::make_shared<InferenceRequest>();
    request->work = GenerateRequest{};
    const auto refused = co_await t.pool_->generate(request, context);
    EXPECT_FALSE(refused);
    if (!refused) EXPECT_EQ(refused.error().reason, "no_endpoint");
    EXPECT_EQ((co_await call(*t.pool_, TokenizeRequest(), context)).error().reason, "no_endpoint");
    EXPECT_EQ(t.pool_->load().running, 0U);
    t.apply({spec("b")});
    EXPECT_EQ(endpoint_of(co_await t.open()), "b");
  }(*this));
}

TEST_F(ModelPoolTest, AnOutageIsNotToldAsTheClientsFault) {
  make({spec("a"), spec("b")});
  const auto says = [&](std::size_t index, ErrorCode code, Origin origin, std::string reason) {
    factory_->made[index]->refuse_with =
        Error{.code = code, .origin = origin, .retry = Retry::kElsewhere, .reason = std::move(reason)};
  };
  for (const std::size_t broken : {0U, 1U}) {
    says(broken, ErrorCode::kBadGateway, Origin::kEndpoint, "connect_failed");
    says(1 - broken, ErrorCode::kInvalidArgument, Origin::kLocal, "unsupported_parameter");
    for (int i = 0; i < 2; ++i) {  // whichever is asked first
      auto request = std::make_shared<InferenceRequest>();
      request->work = GenerateRequest{};
      const auto refused = run_task(loop_, pool_->generate(request, {.deadline = Deadline::never()}));
      ASSERT_FALSE(refused);
      EXPECT_EQ(refused.error().code, ErrorCode::kBadGateway);
    }
  }
}

TEST_F(ModelPoolTest, TextIsNoAnswerToARequestForVectorsOrScores) {
  config_.static_answer = "Later.";
  make({spec("a")});
  factory_->made[0]->refuse_with = Error{.code = ErrorCode::kUnavailable,
                                         .origin = Origin::kEndpoint,
                                         .retry = Retry::kElsewhere,
                                         .reason = "connect_failed"};
  const auto answered = [&](WireBody::Protocol protocol, Work work) {
    auto request = std::make_shared<InferenceRequest>();
    request->work = std::move(work);
    request->wire.protocol = protocol;
    return run_task(loop_, [&]() -> Task<bool> {
      co_return (co_await pool_->generate(request, {.deadline = Deadline::never()})).has_value();
    }());
  };
  using enum WireBody::Protocol;
  EXPECT_TRUE(answered(kChat, GenerateRequest{}));
  EXPECT_TRUE(answered(kChat, OpaqueRequest{}));
  for (const auto protocol : {kEmbeddings, kRerank, kScore, kPassed})
    EXPECT_FALSE(answered(protocol, OpaqueRequest{}));
  EXPECT_FALSE(answered(kNone, EmbedRequest{}));
}

TEST_F(ModelPoolTest, ALoopWithoutRequestsLetsGoWhenItIsTold) {
  make({spec("a")});
  std::weak_ptr<FakeEndpoint> left = factory_->made[0];
  factory_->made.clear();
  factory_->checks.clear();
  run_task(loop_, [](ModelPoolTest& t, std::weak_ptr<FakeEndpoint>& a) -> Task<void> {
    (void)co_await t.open();
    t.apply({spec("b")});
    t.sweep();
    EXPECT_FALSE(a.expired()) << "this loop has not looked since";
    t.pool_->refresh();
    t.sweep();
    EXPECT_TRUE(a.expired());
  }(*this, left));
}

}  // namespace
}  // namespace autoglm::gateway
