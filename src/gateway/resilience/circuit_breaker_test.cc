#include "gateway/resilience/circuit_breaker.h"

#include "base/random.h"
#include "gateway/resilience/retry_budget.h"

#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <vector>

namespace autoglm::gateway {
namespace {

using namespace std::chrono_literals;
using State = CircuitBreaker::State;

class CircuitBreakerTest : public ::testing::Test {
 protected:
  void pass(int count, bool failing) {
    for (int i = 0; i < count; ++i) {
      auto attempt = breaker.try_acquire(now);
      ASSERT_TRUE(attempt);
      failing ? attempt->failure(now) : attempt->success(now);
    }
  }
  void open() {
    pass(20, true);
    now += 500ms;
    ASSERT_FALSE(breaker.admits(now));
    ASSERT_EQ(breaker.state(), State::kOpen);
  }

  MonotonicTime now{1000s};
  CircuitBreaker breaker{{}};
};

TEST_F(CircuitBreakerTest, StaysClosedBelowItsVolume) {
  pass(19, true);
  now += 500ms;
  EXPECT_TRUE(breaker.try_acquire(now));
}

TEST_F(CircuitBreakerTest, OpensAtTheEndOfABucketAndNotBefore) {
  pass(20, true);
  now += 499ms;
  EXPECT_TRUE(breaker.admits(now));
  now += 1ms;
  EXPECT_FALSE(breaker.admits(now));
}

TEST_F(CircuitBreakerTest, WhoIsExpectedBackIsProbedThoughNobodyHasLookedSinceItFailed) {
  pass(20, true);
  now += 2s;  // ejected for another reason
  breaker.expect_return(now);
  EXPECT_EQ(breaker.state(), State::kOpen);
  now += 1ms;
  EXPECT_TRUE(breaker.admits(now)) << "not opened anew by what was before";
}

TEST_F(CircuitBreakerTest, WhoIsExpectedBackWhileAProbeIsUnderWayIsProbedBehindIt) {
  open();
  auto probe = breaker.try_probe();
  ASSERT_TRUE(probe);
  breaker.expect_return(now);
  EXPECT_FALSE(breaker.admits(now)) << "one at a time";
  probe.reset();
  EXPECT_TRUE(breaker.admits(now)) << "it left, and has said nothing";
  breaker.try_probe()->failure(now);
  EXPECT_FALSE(breaker.admits(now)) << "it knows better";
}

TEST_F(CircuitBreakerTest, TruncatesThePercentage) {
  pass(101, false);
  pass(100, true);  // 49.75 %
  now += 500ms;
  EXPECT_TRUE(breaker.admits(now));
  pass(1, true);  // 50 % of 202
  now += 500ms;
  EXPECT_FALSE(breaker.admits(now));
}

TEST_F(CircuitBreakerTest, ForgetsWhatLeavesTheWindow) {
  pass(15, true);
  now += 10s;
  pass(15, true);
  now += 500ms;
  EXPECT_EQ(breaker.state(), State::kClosed);
  EXPECT_TRUE(breaker.admits(now)) << "30 failures, but never 20 in ten seconds";
}

TEST_F(CircuitBreakerTest, OpensWhenSuccessesLeaveTheWindowBeforeFailures) {
  pass(60, false);
  now += 5s;
  pass(25, true);
  now += 500ms;
  EXPECT_TRUE(breaker.admits(now));
  now += 6s;  // no request came meanwhile
  EXPECT_FALSE(breaker.admits(now - 1s));
}

TEST_F(CircuitBreakerTest, AdmitsOneProbeStrictlyAfterTheSleepWindow) {
  open();
  now += 5s;
  EXPECT_FALSE(breaker.try_acquire(now)) << "exactly the sleep window is not after it";
  now += 1ms;
  const auto probe = breaker.try_acquire(now);
  EXPECT_TRUE(probe);
  EXPECT_EQ(breaker.state(), State::kHalfOpen);
  EXPECT_FALSE(breaker.try_acquire(now));
}

TEST_F(CircuitBreakerTest, OneSuccessClosesItAndForgetsEverything) {
  open();
  now += 5001ms;
  breaker.try_acquire(now)->success(now);
  EXPECT_EQ(breaker.state(), State::kClosed);
  now += 500ms;
  pass(19, true);
  now += 500ms;
  EXPECT_TRUE(breaker.admits(now)) << "the failures of before count no more";
}

TEST_F(CircuitBreakerTest, AFailingProbeOpensItAnew) {
  open();
  now += 5001ms;
  breaker.try_acquire(now)->failure(now);
  EXPECT_EQ(breaker.state(), State::kOpen);
  now += 5s;
  EXPECT_FALSE(breaker.try_acquire(now));
  now += 1ms;
  EXPECT_TRUE(breaker.try_acquire(now));
}

TEST_F(CircuitBreakerTest, AProbeThatEndsAsNothingFreesItsPlace) {
  open();
  now += 5001ms;
  {
    const auto client_left = breaker.try_acquire(now);
  }
  EXPECT_EQ(breaker.state(), State::kOpen);
  EXPECT_TRUE(breaker.try_acquire(now)) << "the next is the probe at once";
}

TEST_F(CircuitBreakerTest, NeutralEndsDoNotCount) {
  for (int i = 0; i < 100; ++i) (void)breaker.try_acquire(now);
  pass(19, true);
  now += 500ms;
  EXPECT_TRUE(breaker.admits(now));
}

TEST_F(CircuitBreakerTest, CountsBehindYears) {
  breaker.configure({.window = 20ms, .request_volume = 20});
  // A bucket is a millisecond: past 2^32 of them, and past 2^37, where the words begin anew.
  for (const auto age : {24h * 60, 24h * 365 * 5, 24h * 365 * 100}) {
    now = MonotonicTime(age);
    pass(20, false);
    now += 10ms;
    pass(20, true);
    now += 1ms;
    EXPECT_FALSE(breaker.admits(now)) << age.count() << " h";
    now += 5001ms;
    breaker.try_acquire(now)->success(now);
    now += 1ms;
    pass(19, true);
    now += 21ms;
    EXPECT_TRUE(breaker.admits(now)) << "below its volume: nothing of before counts";
  }
}

TEST_F(CircuitBreakerTest, AnotherWindowBeginsToCountAnew) {
  now = MonotonicTime{
      2500ms};  // numbers of buckets are small then, and near to each other whatever a bucket's length
  pass(19, true);
  breaker.configure({.window = 5s});
  pass(1, true);
  now += 250ms;
  EXPECT_TRUE(breaker.admits(now)) << "19 were counted in buckets of another length";
  pass(19, true);
  breaker.configure({.window = 5s, .sleep_window = 1s});
  now += 250ms;
  EXPECT_FALSE(breaker.admits(now)) << "the same window goes on counting";
}

TEST_F(CircuitBreakerTest, AFailureTakesItsSuccessBack) {
  for (int i = 0; i < 20; ++i) {
    auto attempt = breaker.try_acquire(now);
    attempt->success(now);
    attempt->failure(now + 1s);
    attempt->failure(now + 1s);  // one of each is all that there is
  }
  now += 1500ms;
  breaker.configure({.error_percent = 100});
  EXPECT_FALSE(breaker.admits(now)) << "20 of 20";
}

TEST_F(CircuitBreakerTest, ASuccessThatLeftTheWindowIsNotTakenBack) {
  std::vector<CircuitBreaker::Permission> streams;
  for (int i = 0; i < 20; ++i) {
    streams.push_back(std::move(*breaker.try_acquire(now)));
    streams.back().success(now);
  }
  now += 16s;  // as many buckets as there are slots: newer buckets use them by now
  pass(20, false);
  for (auto& stream : streams) stream.failure(now);
  breaker.configure({.error_percent = 51});
  now += 500ms;
  EXPECT_TRUE(breaker.admits(now)) << "20 of 40, and not of 20";
  breaker.configure({.error_percent = 50});
  now += 500ms;
  EXPECT_FALSE(breaker.admits(now)) << "and not of 60";
}

TEST_F(CircuitBreakerTest, AProbeWhoseStreamBreaksSoonOpensItAnew) {
  open();
  now += 5001ms;
  auto probe = breaker.try_acquire(now);
  probe->success(now);
  EXPECT_EQ(breaker.state(), State::kClosed) << "others may come meanwhile";
  probe->failure(now + 1s);
  EXPECT_EQ(breaker.state(), State::kOpen);
  EXPECT_EQ(breaker.until_probe(now + 1s), 5s);
  now += 7s;
  auto other = breaker.try_acquire(now);
  other->success(now);
  other->failure(now + 1h);
  EXPECT_EQ(breaker.state(), State::kClosed) << "an hour of life speaks for it";
}

/// Hystrix's own structure: a timer at every bucket's end, counts in a list.
class Reference {
 public:
  void advance(std::uint64_t bucket) {
    for (; bucket_ < bucket; ++bucket_) {
      history_.push_back(current_);
      current_ = {};
      if (history_.size() > 20) history_.pop_front();
      std::uint64_t total = 0;
      std::uint64_t errors = 0;
      for (const auto& [t, e] : history_) {
        total += t;
        errors += e;
      }
      if (state == State::kClosed && total >= 20 && 100 * errors / total >= 50) {
        state = State::kOpen;
        opened = MonotonicTime(500ms * (bucket_ + 1));
      }
    }
  }
  void count(bool failed) {
    ++current_.first;
    if (failed) ++current_.second;
  }
  void reset() {
    history_.clear();
    current_ = {};
    state = State::kClosed;
  }
  State state = State::kClosed;
  MonotonicTime opened;

 private:
  std::uint64_t bucket_ = 0;
  std::pair<std::uint64_t, std::uint64_t> current_;
  std::deque<std::pair<std::uint64_t, std::uint64_t>> history_;
};

TEST(CircuitBreaker, DecidesAsHystrixOverRandomTraffic) {
  std::map<std::pair<State, State>, int> seen;
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    Random random(seed);
    CircuitBreaker breaker{{}};
    Reference reference;
    MonotonicTime now{};
    double failing = 0.1;
    for (int i = 0; i < 4000; ++i) {
      if (random.below(200) == 0) failing = random.uniform();
      now += std::chrono::milliseconds(random.below(random.below(50) == 0 ? 9000 : 120));
      reference.advance(static_cast<std::uint64_t>(now.time_since_epoch() / 500ms));
      const State before = reference.state;
      const bool admits = before == State::kClosed || now > reference.opened + 5s;
      auto attempt = breaker.try_acquire(now);
      ASSERT_EQ(attempt.has_value(), admits) << "seed " << seed << ", request " << i;
      if (!attempt) continue;
      const bool failed = random.uniform() < failing;
      const bool neutral = random.below(20) == 0;
      if (neutral) {
        attempt.reset();
      } else if (failed) {
        attempt->failure(now);
        if (before == State::kOpen) {
          reference.opened = now;
        } else {
          reference.count(true);
        }
      } else {
        attempt->success(now);
        if (before == State::kOpen) {
          reference.reset();
          // In both, counting begins with the next bucket.
          now += 500ms;
        } else {
          reference.count(false);
        }
      }
      ++seen[{before, reference.state}];
    }
  }
  EXPECT_GE((seen[{State::kOpen, State::kClosed}]), 100);
  EXPECT_GE((seen[{State::kOpen, State::kOpen}]), 100);
}

TEST(RetryBudget, AllowsAShareOfWhatIsActiveAndAFewInAnyCase) {
  RetryBudget budget(20, 3);
  std::vector<RetryBudget::Token> requests;
  std::vector<RetryBudget::Token> retries;
  const auto take_all = [&] {
    retries.clear();
    while (auto token = budget.try_retry()) retries.push_back(std::move(token));
    return retries.size();
  };
  requests.push_back(budget.begin_request());
  EXPECT_EQ(take_all(), 3U);
  for (int i = 0; i < 99; ++i) requests.push_back(budget.begin_request());
  EXPECT_EQ(take_all(), 20U);
  requests.clear();
  EXPECT_FALSE(budget.try_retry()) << "those under way still count";
  EXPECT_EQ(take_all(), 3U);
}

}  // namespace
}  // namespace autoglm::gateway
