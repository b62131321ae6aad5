#include "gateway/resilience/ask.h"

#include "base/testing/manual_clock.h"
#include "gateway/resilience/dispatcher.h"
#include "gateway/resilience/roster.h"
#include "gateway/resilience/testing/fake_factory.h"
#include "gateway/routing/round_robin/round_robin_balancer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <functional>
#include <vector>

namespace autoglm::gateway {
namespace {

using namespace std::chrono_literals;
using State = CircuitBreaker::State;

PoolConfig config_of(std::size_t endpoints) {
  PoolConfig config{.health = {.slow_start = 0s},
                    .ejection = {.consecutive_failures = 3, .max_percent = 100},
                    .breaker = {.window = 2s, .request_volume = 5, .error_percent = 60, .sleep_window = 30s},
                    .retry = {.budget_percent = 100}};
  for (std::size_t i = 0; i < endpoints; ++i)
    config.endpoints.push_back({.url = "http://e" + std::to_string(i)});
  return config;
}

const Error kBroke{.code = ErrorCode::kBadGateway, .origin = Origin::kEndpoint, .retry = Retry::kElsewhere};

/// A pool of fake endpoints, and its clock.
class AskTest : public ::testing::Test {
 protected:
  explicit AskTest(PoolConfig config = config_of(2)) : config_(std::move(config)) {
    dispatcher_ = std::make_unique<Dispatcher>(
        "m", Dispatcher::Surroundings{.config = config_, .metrics = metrics_, .clock = clock_});
    const auto change = roster_.prepare(cluster::membership_of(config_.endpoints)).value();
    roster_.adopt(change, clock_.now());
    dispatcher_->endpoints().set(change.list);
  }

  const Member& member(std::size_t index) { return roster_.list()->members.at(index); }
  EndpointRecord& record(std::size_t index) { return *roster_.list()->owners.at(index).record; }
  CircuitBreaker& breaker(std::size_t index) { return record(index).breaker; }
  /// Which endpoint is asked: ids begin with one.
  static std::size_t index_of(const Ask& ask) { return ask.id().value - 1; }
  void check(std::size_t index, cluster::CheckResult result) {
    dispatcher_->endpoints().checked(record(index), result, clock_.now());
  }

  /// A request of its own, which asks an endpoint.
  struct Asking {
    std::unique_ptr<Dispatch> dispatch;
    std::optional<Ask> ask;
  };
  Asking begin() {
    Asking asking{.dispatch = std::make_unique<Dispatch>(*dispatcher_, loop_, request_), .ask = {}};
    auto step = asking.dispatch->next(clock_.now());
    if (auto* ask = std::get_if<Ask>(&step)) asking.ask = std::move(*ask);
    return asking;
  }
  /// Verdicts of all endpoints, as ok, failed, timeout, refused, abandoned.
  std::array<int, kOutcomes> verdicts() {
    std::array<int, kOutcomes> counts{};
    for (std::size_t i = 0; i < config_.endpoints.size(); ++i)
      for (std::size_t j = 0; j < kOutcomes; ++j)
        counts.at(j) += static_cast<int>(record(i).attempts.at(j).value());
    return counts;
  }
  using Verdicts = std::array<int, kOutcomes>;

  PoolConfig config_;
  ManualClock clock_;
  observe::MetricRegistry registry_;
  PoolMetrics metrics_{registry_, "m"};
  EndpointRecords records_{registry_, "m"};
  FakeFactory factory_;
  Roster roster_{config_, records_, factory_};
  std::unique_ptr<Dispatcher> dispatcher_;
  Dispatcher::Loop loop_{.balancer = make_round_robin(1), .random = Random(1)};
  InferenceRequest request_{};
};

TEST_F(AskTest, WhoeverLeavesFirstLeavesNoVerdict) {
  {
    auto asking = begin();
    const Ask::Wait wait(*asking.ask, Deadline(clock_.now() + 1s));
    clock_.advance(999ms);
  }
  EXPECT_EQ(verdicts(), (Verdicts{0, 0, 0, 0, 1}));
}

TEST_F(AskTest, SilenceIsAFailureWhoeverEndsIt) {
  // The pipeline's own timer: it destroys everything below without a call to `fails`.
  {
    auto asking = begin();
    const Ask::Wait wait(*asking.ask, Deadline(clock_.now() + 1s));
    clock_.advance(1s);
  }
  EXPECT_EQ(verdicts(), (Verdicts{0, 0, 1, 0, 0}));
  // An error at the same moment is no second verdict.
  {
    auto asking = begin();
    {
      const Ask::Wait wait(*asking.ask, Deadline(clock_.now() + 1s));
      clock_.advance(1s);
    }
    asking.dispatch->failed(std::move(*asking.ask), kBroke, clock_.now());
  }
  EXPECT_EQ(verdicts(), (Verdicts{0, 0, 2, 0, 0}));
}

TEST_F(AskTest, AHungEndpointIsLeftAlone) {
  for (int i = 0; i < 10; ++i) {
    auto asking = begin();
    const std::size_t member = index_of(*asking.ask);
    const Ask::Wait wait(*asking.ask, Deadline(clock_.now() + 100ms));
    if (member == 0) {
      clock_.advance(100ms);  // destroyed when it is due
    } else {
      asking.dispatch->succeeded(*asking.ask, clock_.now());
    }
  }
  EXPECT_EQ(record(0).attempts[2].value(), 3) << "and then it is ejected";
  EXPECT_TRUE(member(0).state->health.ejected(clock_.now()));
}

TEST_F(AskTest, WhatIsHeardInTimeIsNoSilence) {
  {
    auto asking = begin();
    asking.dispatch->succeeded(*asking.ask, clock_.now());
    Ask::Wait wait(*asking.ask, Deadline(clock_.now() + 1s));
    clock_.advance(500ms);
    wait.over();
    clock_.advance(1h);  // the client reads slowly
  }
  EXPECT_EQ(verdicts(), (Verdicts{1, 0, 0, 0, 0}));
}

TEST_F(AskTest, TooMuchToDoHereIsNoServersDoingAndNo429) {
  const Error full{.code = ErrorCode::kResourceExhausted,
                   .retry = Retry::kElsewhere,
                   .reason = "queue_full",
                   .retry_after = 1s};
  auto asking = begin();
  asking.dispatch->failed(std::move(*asking.ask), full, clock_.now());
  auto step = asking.dispatch->next(clock_.now());
  ASSERT_TRUE(std::holds_alternative<Ask>(step));
  asking.dispatch->failed(std::move(std::get<Ask>(step)), full, clock_.now());
  step = asking.dispatch->next(clock_.now());
  ASSERT_TRUE(std::holds_alternative<Error>(step));
  EXPECT_EQ(std::get<Error>(step).code, ErrorCode::kUnavailable);
  EXPECT_EQ(std::get<Error>(step).retry_after, 1s);
  EXPECT_EQ(verdicts(), (Verdicts{0, 0, 0, 0, 2}));
}

TEST_F(AskTest, AVerdictMovesWithItsAsk) {
  {
    auto first = begin();
    auto second = begin();
    first.dispatch->succeeded(*first.ask, clock_.now());
    Ask moved = std::move(*first.ask);
    EXPECT_EQ(verdicts(), Verdicts{});
    moved = std::move(*second.ask);  // the Ask that it held has ended
    EXPECT_EQ(verdicts(), (Verdicts{1, 0, 0, 0, 0}));
  }
  EXPECT_EQ(verdicts(), (Verdicts{1, 0, 0, 0, 1}));
  for (const Member& member : roster_.list()->members) EXPECT_EQ(member.in_flight(), 0U);
}

class OneEndpoint : public AskTest {
 protected:
  OneEndpoint() : AskTest(config_of(1)) {}
};

TEST_F(OneEndpoint, AStreamThatBreaksIsOneFailureAndNoSuccess) {
  for (int i = 0; i < 5; ++i) {
    auto asking = begin();
    ASSERT_TRUE(asking.ask) << i;
    asking.dispatch->succeeded(*asking.ask, clock_.now());
    asking.dispatch->broke(std::move(*asking.ask), kBroke, true, clock_.now());
  }
  EXPECT_EQ(verdicts(), (Verdicts{0, 5, 0, 0, 0}));
  clock_.advance(100ms);
  EXPECT_FALSE(breaker(0).admits(clock_.now())) << "60 % of five";
}

TEST_F(AskTest, BreaksAreFailuresInARow) {
  int asked = 0;
  for (int i = 0; i < 20; ++i) {
    auto asking = begin();
    asking.dispatch->succeeded(*asking.ask, clock_.now());
    if (index_of(*asking.ask) != 0) continue;
    ++asked;
    asking.dispatch->broke(std::move(*asking.ask), kBroke, true, clock_.now());
  }
  EXPECT_EQ(asked, 3);
}

TEST_F(AskTest, ASuccessBetweenThemEndsARowOfBreaks) {
  for (int i = 0; i < 40; ++i) {
    auto asking = begin();
    asking.dispatch->succeeded(*asking.ask, clock_.now());
    // Of every three of the first endpoint the last goes well.
    if (index_of(*asking.ask) == 0 && i / 2 % 3 != 2)
      asking.dispatch->broke(std::move(*asking.ask), kBroke, true, clock_.now());
  }
  EXPECT_FALSE(member(0).state->health.ejected(clock_.now()));
}

TEST_F(AskTest, TheSlowerOfTwoFailsOnlyIfItWasSilentForLong) {
  auto first = begin();
  clock_.advance(30ms);
  auto second = first.dispatch->hedge(clock_.now());
  ASSERT_TRUE(second);
  first.dispatch->outpaced(std::move(*second), 30ms, clock_.now() + 5ms);
  EXPECT_EQ(verdicts(), (Verdicts{0, 0, 0, 0, 1})) << "it had hardly been asked";
  first.dispatch->outpaced(std::move(*first.ask), 30ms, clock_.now() + 5ms);
  EXPECT_EQ(verdicts(), (Verdicts{0, 0, 1, 0, 1}));
}

class ManyEndpoints : public AskTest {
 protected:
  ManyEndpoints() : AskTest(config_of(12)) {}
};

TEST_F(ManyEndpoints, AnAnswerThatKillsWhoeverGoesOnWithItIsGivenUp) {
  auto asking = begin();
  std::uint32_t sent = 1;
  while (asking.ask) {
    asking.dispatch->succeeded(*asking.ask, clock_.now());
    asking.dispatch->broke(std::move(*std::exchange(asking.ask, std::nullopt)), kBroke, true, clock_.now());
    for (int looks = 0; looks < 3 && !asking.ask; ++looks) {
      auto step = asking.dispatch->next(clock_.now());
      if (std::holds_alternative<Error>(step)) break;
      if (auto* ask = std::get_if<Ask>(&step)) asking.ask = std::move(*ask);
      if (auto* pause = std::get_if<Dispatch::Pause>(&step)) clock_.advance(pause->until - clock_.now());
    }
    sent += asking.ask ? 1 : 0;
    ASSERT_LT(sent, 20U);
  }
  EXPECT_EQ(sent, 1 + config_.retry.max_attempts);
}

class NoBudget : public AskTest {
 protected:
  static PoolConfig config() {
    PoolConfig config = config_of(12);
    config.retry.budget_percent = 0;  // three in any case
    return config;
  }
  NoBudget() : AskTest(config()) {}

  /// Of six requests that end with `error` so often at the same time: how many ask another one then.
  int ask_again(const Error& error, int times = 1) {
    std::vector<Asking> all(6);
    for (Asking& asking : all) asking = begin();
    for (; times > 0; --times) {
      for (Asking& asking : all) {
        asking.dispatch->failed(std::move(*std::exchange(asking.ask, std::nullopt)), error, clock_.now());
        auto step = asking.dispatch->next(clock_.now());
        if (auto* ask = std::get_if<Ask>(&step)) asking.ask = std::move(*ask);
      }
    }
    return static_cast<int>(
        std::ranges::count_if(all, [](const Asking& one) { return one.ask.has_value(); }));
  }
};

TEST_F(NoBudget, WhatNobodyWorkedOnIsSentElsewhereWhateverTheBudget) {
  EXPECT_EQ(ask_again(kBroke), 3);
  for (const std::string_view reason :
       {std::string_view("connect_failed"), std::string_view("connection_lost"), kEndpointMisconfigured}) {
    Error lost = kBroke;
    lost.reason = reason;
    EXPECT_EQ(ask_again(lost), 6) << reason;
  }
}

TEST_F(NoBudget, ItIsSentElsewhereOnceARequest) {
  Error lost = kBroke;
  lost.reason = "connection_lost";
  EXPECT_EQ(ask_again(lost, 2), 3) << "whatever takes the place of that would multiply it";
}

class Full : public AskTest {
 protected:
  static PoolConfig config() {
    PoolConfig config = config_of(1);
    config.endpoints[0].max_connections = 1;
    return config;
  }
  Full() : AskTest(config()) {}
};

/// While it picks, another loop is faster.
class SlowBalancer final : public Balancer {
 public:
  explicit SlowBalancer(std::function<void()> meanwhile) : meanwhile_(std::move(meanwhile)) {}
  std::optional<std::size_t> pick(Members members, const Eligible& eligible, const RoutingFacts&) override {
    for (std::size_t i = 0; i < members.size(); ++i) {
      if (!eligible(i)) continue;
      meanwhile_();
      return i;
    }
    return std::nullopt;
  }

 private:
  std::function<void()> meanwhile_;
};

TEST_F(Full, ThePlaceThatWasSeenMayBeGone) {
  std::optional<EndpointSet::Place> faster;
  loop_.balancer = std::make_unique<SlowBalancer>(
      [&] { faster = EndpointSet::Place::take(dispatcher_->endpoints(), member(0)); });
  Dispatch dispatch(*dispatcher_, loop_, request_);
  EXPECT_TRUE(std::holds_alternative<Dispatch::Full>(dispatch.next(clock_.now())));
  EXPECT_EQ(member(0).in_flight(), 1U);
  faster.reset();
  loop_.balancer = make_round_robin(1);
  EXPECT_TRUE(std::holds_alternative<Ask>(dispatch.next(clock_.now()))) << "it has not been tried";
}

TEST_F(AskTest, WhoComesBackIsAskedAsSoonAsItsCheckSucceeds) {
  const Error gone{.code = ErrorCode::kUnavailable,
                   .origin = Origin::kEndpoint,
                   .retry = Retry::kElsewhere,
                   .message = "",
                   .reason = "connect_failed"};
  const auto is_asked = [&] {  // within as many requests as there are endpoints
    bool asked = false;
    for (std::size_t i = 0; i < config_.endpoints.size(); ++i) {
      auto asking = begin();
      asked |= asking.ask && index_of(*asking.ask) == 0;
      if (asking.ask) asking.dispatch->succeeded(*asking.ask, clock_.now());
    }
    return asked;
  };
  for (int i = 0; i < 12; ++i) {
    auto asking = begin();
    ASSERT_TRUE(asking.ask);
    if (index_of(*asking.ask) == 0) {
      asking.dispatch->failed(std::move(*asking.ask), gone, clock_.now());
    } else {
      asking.dispatch->succeeded(*asking.ask, clock_.now());
    }
    clock_.advance(10ms);
  }
  EXPECT_TRUE(member(0).state->health.ejected(clock_.now()));
  EXPECT_FALSE(is_asked());
  clock_.advance(1s);
  check(0, cluster::CheckResult::kWell);
  EXPECT_TRUE(is_asked()) << "and not when its thirty seconds are over";
}

TEST_F(AskTest, ACheckThatSucceedsAgainLetsTheBreakerProbe) {
  for (int i = 0; i < 5; ++i) breaker(0).try_acquire(clock_.now())->failure(clock_.now());
  clock_.advance(200ms);
  EXPECT_FALSE(breaker(0).admits(clock_.now()));
  check(0, cluster::CheckResult::kWell);
  EXPECT_FALSE(breaker(0).admits(clock_.now())) << "its checks were well all along";
  check(0, cluster::CheckResult::kUnwell);
  check(0, cluster::CheckResult::kWell);
  EXPECT_TRUE(breaker(0).admits(clock_.now()));
}

TEST_F(AskTest, WhileEveryBreakerIsOpenOneRequestAtATimeAsks) {
  for (std::size_t member = 0; member < config_.endpoints.size(); ++member)
    for (int i = 0; i < 5; ++i) breaker(member).try_acquire(clock_.now())->failure(clock_.now());
  clock_.advance(200ms);
  auto first = begin();
  ASSERT_TRUE(first.ask) << "rather than nobody for thirty seconds";
  EXPECT_FALSE(begin().ask) << "one at a time";
  first.dispatch->failed(std::move(*first.ask), kBroke, clock_.now());
  const auto step = first.dispatch->next(clock_.now());
  EXPECT_FALSE(std::holds_alternative<Ask>(step)) << "one each";
  auto second = begin();
  ASSERT_TRUE(second.ask) << "at once";
  second.dispatch->succeeded(*second.ask, clock_.now());
  EXPECT_EQ(second.ask->member().record->breaker.state(), State::kClosed);
  auto third = begin();
  ASSERT_TRUE(third.ask);
  EXPECT_EQ(third.ask->id(), second.ask->id()) << "the other one's breaker is nobody's last resort now";
}

TEST_F(AskTest, OneClosedBreakerKeepsRequestsFromTheOpenOnes) {
  EndpointSet& set = dispatcher_->endpoints();
  for (int i = 0; i < 5; ++i) breaker(0).try_acquire(clock_.now())->failure(clock_.now());
  clock_.advance(200ms);
  EXPECT_FALSE(set.probe_alone(*roster_.list(), 0, clock_.now()));
  set.set_enabled(member(1).name(), false);
  EXPECT_TRUE(set.probe_alone(*roster_.list(), 0, clock_.now())) << "a drained one can take nothing";
}

}  // namespace
}  // namespace autoglm::gateway
