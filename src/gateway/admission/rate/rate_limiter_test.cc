#include "gateway/admission/rate/rate_limiter.h"

#include <gtest/gtest.h>

#include <limits>
#include <utility>
#include <vector>

namespace autoglm::gateway {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t kHuge = std::numeric_limits<std::uint64_t>::max();
constexpr RateAlgorithm kAll[] = {RateAlgorithm::kTokenBucket, RateAlgorithm::kLeakyBucket,
                                  RateAlgorithm::kSlidingWindow};

/// A limiter and a clock that moves only when told to.
struct Limited {
  explicit Limited(const RateSpec& of) : spec(of) {}

  RateDecision take(std::uint64_t amount) { return limiter.take(amount, now); }
  bool admits(std::uint64_t amount) { return take(amount).verdict == Verdict::kAdmitted; }
  void settle(const Reservation& reservation, std::uint64_t used) { limiter.settle(reservation, used, now); }
  std::uint64_t remaining() { return limiter.state(now).remaining; }

  RateSpec spec;
  MonotonicTime now{1h};
  RateLimiter limiter{spec, now};
};

TEST(RateLimiter, FitsIntoACacheLine) { EXPECT_LE(sizeof(RateLimiter), 64U); }

TEST(RateLimiter, ATokenBucketGivesItsBurstAtOnceAndThenItsRate) {
  Limited bucket({.amount = 60, .period = 60s, .burst = 3});
  for (std::uint64_t left : {2U, 1U, 0U}) {
    const auto decision = bucket.take(1);
    EXPECT_EQ(decision.verdict, Verdict::kAdmitted);
    EXPECT_EQ(decision.delay, 0ns);
    EXPECT_EQ(decision.state.limit, 3U);
    EXPECT_EQ(decision.state.remaining, left);
    EXPECT_EQ(decision.state.reset, (3 - left) * 1s);
  }
  const auto refused = bucket.take(2);
  EXPECT_EQ(refused.verdict, Verdict::kLater);
  EXPECT_EQ(refused.retry_after, 2s);
  bucket.now += 2s - 1ns;
  EXPECT_FALSE(bucket.admits(2));
  bucket.now += 1ns;
  EXPECT_TRUE(bucket.admits(2));
}

TEST(RateLimiter, ALeakyBucketTellsEachTakeItsTurn) {
  Limited bucket(
      {.amount = 10, .period = 1s, .burst = 1, .algorithm = RateAlgorithm::kLeakyBucket, .queue = 2});
  EXPECT_EQ(bucket.take(1).delay, 0ms);
  EXPECT_EQ(bucket.take(1).delay, 100ms);
  EXPECT_EQ(bucket.take(1).delay, 200ms);
  const auto refused = bucket.take(1);
  EXPECT_EQ(refused.verdict, Verdict::kLater);
  EXPECT_EQ(refused.retry_after, 100ms);
  EXPECT_EQ(refused.state.limit, 3U);
  bucket.now += 100ms;
  EXPECT_EQ(bucket.take(1).delay, 200ms);
}

TEST(RateLimiter, ALeakyBucketKeepsTheTurnsItHasGiven) {
  Limited bucket(
      {.amount = 10, .period = 1s, .burst = 1, .algorithm = RateAlgorithm::kLeakyBucket, .queue = 9});
  bucket.take(1);
  const auto second = bucket.take(1), third = bucket.take(1);
  bucket.settle(second.reservation, 0);  // cancelled; the third keeps its turn
  EXPECT_EQ(bucket.take(1).delay, 300ms);
  const auto last = bucket.take(1);
  EXPECT_EQ(last.delay, 400ms);
  bucket.settle(last.reservation, 0);
  EXPECT_EQ(bucket.take(1).delay, 400ms) << "the last in the queue makes room";
  EXPECT_EQ(third.delay, 200ms);
}

TEST(RateLimiter, ASlidingWindowCountsATakeForItsWholePeriod) {
  Limited window({.amount = 10, .period = 15s, .algorithm = RateAlgorithm::kSlidingWindow});
  window.now += 999ms;
  EXPECT_TRUE(window.admits(7));
  window.now += 1ms;  // the next sub-window
  EXPECT_TRUE(window.admits(3));
  const auto refused = window.take(5);
  EXPECT_EQ(refused.retry_after, 15s);
  EXPECT_EQ(refused.state.remaining, 0U);
  EXPECT_EQ(refused.state.reset, 16s);
  EXPECT_EQ(window.take(8).retry_after, 16s);
  window.now += 15s - 1ns;
  EXPECT_FALSE(window.admits(1));
  window.now += 1ns;
  EXPECT_TRUE(window.admits(7));
}

TEST(RateLimiter, WhatCouldNeverFitIsNeverAdmitted) {
  for (const auto algorithm : kAll) {
    Limited limited({.amount = 10, .period = 1s, .algorithm = algorithm});
    EXPECT_EQ(limited.take(11).verdict, Verdict::kNever);
    EXPECT_EQ(limited.take(kHuge).verdict, Verdict::kNever);
    EXPECT_TRUE(limited.limiter.is_fresh(limited.now));
    EXPECT_TRUE(limited.admits(10));
    EXPECT_TRUE(limited.admits(0)) << "nothing always fits";
    EXPECT_EQ(limited.take(11).verdict, Verdict::kNever);
  }
  Limited queued({.amount = 10, .period = 1s, .algorithm = RateAlgorithm::kLeakyBucket, .queue = 5});
  EXPECT_EQ(queued.take(11).verdict, Verdict::kNever) << "a queue does not make the burst larger";
}

TEST(RateLimiter, GivesBackWhatWasNotUsed) {
  for (const auto algorithm : kAll) {
    Limited limited({.amount = 100, .period = 1s, .algorithm = algorithm});
    const auto first = limited.take(60), second = limited.take(40);
    EXPECT_FALSE(limited.admits(1));
    limited.settle(first.reservation, 20);
    EXPECT_EQ(limited.remaining(), 40U);
    limited.settle(second.reservation, 0);
    EXPECT_EQ(limited.remaining(), 80U);
  }
}

TEST(RateLimiter, GivesBackMostOfManyLongReservations) {
  Limited bucket({.amount = 1'000'000, .period = 60s});
  std::vector<Reservation> open;
  for (int request = 0; request < 100; ++request) open.push_back(bucket.take(8000).reservation);
  bucket.now += 5s;
  for (const auto& reservation : open) bucket.settle(reservation, 500);
  EXPECT_GT(bucket.remaining(), 950'000U);
}

TEST(RateLimiter, NeverGivesBackMoreThanWasTakenNorAboveTheBurst) {
  for (const auto algorithm : kAll) {
    Limited limited({.amount = 100, .period = 1s, .algorithm = algorithm});
    const auto taken = limited.take(50).reservation;
    limited.now += 2s;  // all of it has come back by itself
    limited.take(100);
    limited.settle(taken, 0);
    EXPECT_EQ(limited.remaining(), 0U);
    limited.now += 2s;
    limited.settle(limited.take(10).reservation, 0);
    EXPECT_EQ(limited.remaining(), 100U);
  }
}

/// Each of many long reservations drains before it is given back; none may then pay for another.
TEST(RateLimiter, WhatHasDrainedIsNotGivenBack) {
  Limited bucket({.amount = 100, .period = 1s});
  std::vector<Reservation> open;
  for (int second = 0; second < 10; ++second) {
    open.push_back(bucket.take(100).reservation);
    bucket.now += 1s;
  }
  std::uint64_t taken_at_once = 0;
  for (const auto& reservation : open) {
    bucket.settle(reservation, 0);
    if (bucket.admits(100)) taken_at_once += 100;
  }
  EXPECT_EQ(taken_at_once, 100U);
}

TEST(RateLimiter, AnotherLimitersReservationGivesNothingBack) {
  // The second lets the distance of the two, in parts of a token, be a multiple of 2^128.
  for (const Duration period : {Duration(1s), Duration(std::int64_t{1} << 30)}) {
    for (const auto algorithm : kAll) {
      const RateSpec spec{.amount = 100, .period = period, .algorithm = algorithm};
      Limited before(spec), after(spec);
      const auto old = before.take(100).reservation;
      after.now += Duration(std::int64_t{1} << 34);
      after.limiter = RateLimiter(after.spec, after.now);
      const auto own = after.take(100).reservation;
      after.settle(old, 0);
      EXPECT_EQ(after.remaining(), 0U);
      before.settle(own, 0);
      EXPECT_EQ(before.remaining(), 0U);
    }
  }
}

TEST(RateLimiter, UseBeyondTheReservationIsADebt) {
  Limited bucket({.amount = 100, .period = 1s});
  bucket.settle(bucket.take(10).reservation, 250);
  EXPECT_EQ(bucket.remaining(), 0U);
  EXPECT_EQ(bucket.take(0).retry_after, 1500ms);
  EXPECT_EQ(bucket.take(50).retry_after, 2s);
  EXPECT_EQ(bucket.limiter.state(bucket.now).reset, 2500ms);
  bucket.now += 2s;
  EXPECT_TRUE(bucket.admits(50));

  Limited window({.amount = 100, .period = 15s, .algorithm = RateAlgorithm::kSlidingWindow});
  window.settle(window.take(10).reservation, 250);
  EXPECT_EQ(window.take(1).retry_after, 16s);
}

TEST(RateLimiter, HugeAmountsDoNotOverflow) {
  for (const auto algorithm : kAll) {
    Limited limited(
        {.amount = RateSpec::kMostAmount, .period = RateSpec::kLongestPeriod, .algorithm = algorithm});
    const auto taken = limited.take(RateSpec::kMostAmount);
    EXPECT_EQ(taken.verdict, Verdict::kAdmitted);
    EXPECT_EQ(taken.state.remaining, 0U);
    EXPECT_FALSE(limited.admits(RateSpec::kMostAmount));
    Duration reset{};
    bool shrinks = false;
    for (int times = 0; times < 2000; ++times) {
      limited.settle(taken.reservation, kHuge);
      const Duration before = std::exchange(reset, limited.limiter.state(limited.now).reset);
      shrinks |= reset < before;
    }
    EXPECT_FALSE(shrinks);
    EXPECT_FALSE(limited.admits(1));
    limited.now += limited.spec.period;
    EXPECT_FALSE(limited.admits(1));
  }
}

TEST(RateLimiter, AHugeDebtStaysHugeWhenTheLimitChanges) {
  Limited bucket({.amount = RateSpec::kMostAmount, .period = 1ms});
  for (int times = 0; times < 2048; ++times) bucket.settle({}, RateSpec::kMostAmount);
  const RateSpec slower{.amount = RateSpec::kMostAmount, .period = Duration(std::int64_t{1} << 54)};
  bucket.limiter.change(slower, bucket.now);  // the product would be 2^128
  EXPECT_GT(bucket.limiter.state(bucket.now).reset, 24h * 365 * 290);
}

TEST(RateLimiter, ALongIdleTimeCostsNothing) {
  const RateSpec spec{.amount = 1, .period = 1ms, .algorithm = RateAlgorithm::kSlidingWindow};
  RateLimiter window(spec, MonotonicTime::min());
  window.take(1, MonotonicTime::min());
  EXPECT_TRUE(window.is_fresh(MonotonicTime::max()));
}

TEST(RateLimiter, TheClockMaySpringBack) {
  for (const auto algorithm : kAll) {
    Limited limited({.amount = 10, .period = 15s, .algorithm = algorithm});
    EXPECT_TRUE(limited.admits(10));
    limited.now -= 1s;  // another thread's, read a little earlier
    const auto early = limited.take(1);
    EXPECT_EQ(early.verdict, Verdict::kLater);
    limited.now += early.retry_after - 1ns;
    EXPECT_FALSE(limited.admits(1));
    limited.now += 1ns;
    EXPECT_TRUE(limited.admits(1));

    limited.now -= 1h;  // it was set
    const auto set_back = limited.take(10);
    EXPECT_LE(set_back.retry_after, 16s);
    limited.now += set_back.retry_after;
    EXPECT_TRUE(limited.admits(10));
    limited.now = MonotonicTime::min();
    EXPECT_FALSE(limited.admits(10));
    limited.now = MonotonicTime::max();
    EXPECT_TRUE(limited.admits(10));
  }
}

TEST(RateLimiter, WhatWasUsedStaysUsedWhenTheLimitChanges) {
  for (const auto before : kAll) {
    for (const auto after : kAll) {
      Limited limited({.amount = 100, .period = 1s, .algorithm = before});
      const RateSpec more{.amount = 1000, .period = 60s, .algorithm = after};
      const RateSpec less{.amount = 50, .period = 10s, .algorithm = after};
      limited.take(60);
      limited.limiter.change(more, limited.now);
      EXPECT_EQ(limited.remaining(), 940U);
      limited.limiter.change(less, limited.now);
      EXPECT_EQ(limited.remaining(), 0U);
      EXPECT_FALSE(limited.admits(1));
      EXPECT_EQ(limited.take(51).verdict, Verdict::kNever);
      limited.now += 12s;
      EXPECT_TRUE(limited.limiter.is_fresh(limited.now));
      limited.limiter.change(limited.spec, limited.now);
    }
  }
}

TEST(RateLimiter, ASlidingWindowRemembersWhenItsPeriodChanges) {
  Limited window({.amount = 100, .period = 15s, .algorithm = RateAlgorithm::kSlidingWindow});
  const RateSpec longer{.amount = 100, .period = 30s, .algorithm = RateAlgorithm::kSlidingWindow};
  const RateSpec shorter{.amount = 100, .period = 3s, .algorithm = RateAlgorithm::kSlidingWindow};
  window.take(10);
  window.now += 5s;
  const auto taken = window.take(20);
  window.limiter.change(longer, window.now);
  window.now += 25s;
  EXPECT_EQ(window.remaining(), 70U);
  window.now += 3s;
  EXPECT_EQ(window.remaining(), 80U) << "the first take is older than the new period";
  window.limiter.change(shorter, window.now);
  EXPECT_EQ(window.remaining(), 100U);
  EXPECT_TRUE(window.admits(90));
  window.now += 500ms;
  window.limiter.change(longer, window.now);
  window.settle(taken.reservation, 0);
  EXPECT_EQ(window.remaining(), 10U) << "it does not count any more, and takes nothing from others";
}

TEST(RateLimiter, AReservationSurvivesAChange) {
  Limited limited({.amount = 100, .period = 1s});
  const RateSpec slower{.amount = 100, .period = 7s};
  const auto taken = limited.take(60);
  limited.limiter.change(slower, limited.now);
  limited.settle(taken.reservation, 10);
  EXPECT_EQ(limited.remaining(), 90U);
}

TEST(RateLimiter, IsFreshWhenEverythingHasComeBack) {
  for (const auto algorithm : kAll) {
    Limited limited({.amount = 10, .period = 15s, .algorithm = algorithm});
    EXPECT_TRUE(limited.limiter.is_fresh(limited.now));
    const auto taken = limited.take(7);
    EXPECT_FALSE(limited.limiter.is_fresh(limited.now));
    limited.now += taken.state.reset - 1ns;
    EXPECT_FALSE(limited.limiter.is_fresh(limited.now));
    limited.now += 1ns;
    EXPECT_TRUE(limited.limiter.is_fresh(limited.now));
  }
}

TEST(RateLimiter, ARestoredLimiterGoesOn) {
  for (const auto algorithm : kAll) {
    Limited limited({.amount = 7, .period = 15s, .algorithm = algorithm});
    limited.take(4);
    limited.now += 1234567891ns;
    limited.take(2);
    const SavedRate saved = limited.limiter.save(limited.now);

    const MonotonicTime other_clock{3ms};
    RateLimiter same(limited.spec, saved, 0ns, other_clock);
    EXPECT_EQ(same.save(other_clock), saved);
    RateLimiter set_back(limited.spec, saved, -1h, other_clock);
    EXPECT_EQ(set_back.save(other_clock), saved) << "no time has passed";

    RateLimiter later(limited.spec, saved, 5s, other_clock);
    limited.now += 5s;
    EXPECT_EQ(later.take(7, other_clock).retry_after, limited.take(7).retry_after);
    RateLimiter much_later(limited.spec, saved, 1h, other_clock);
    EXPECT_TRUE(much_later.is_fresh(other_clock));
  }
}

TEST(RateLimiter, RestoresIntoAChangedLimitAndNothingFromGarbage) {
  Limited limited({.amount = 100, .period = 1s});
  limited.take(60);
  const SavedRate saved = limited.limiter.save(limited.now);
  for (const auto algorithm : kAll) {
    const RateSpec spec{.amount = 80, .period = 1h, .algorithm = algorithm};
    EXPECT_EQ(RateLimiter(spec, saved, 0ns, limited.now).state(limited.now).remaining, 20U);
    SavedRate garbage = saved;
    garbage.period = 0ns;
    EXPECT_TRUE(RateLimiter(spec, garbage, 0ns, limited.now).is_fresh(limited.now));
    garbage = saved;
    garbage.algorithm = algorithm;
    garbage.used.fill(kHuge);
    garbage.into = Duration::max();
    EXPECT_EQ(RateLimiter(spec, garbage, 0ns, limited.now).take(1, limited.now).verdict, Verdict::kLater);
  }
}

TEST(RateLimiter, RestoresAWindowThatIsFurtherThanItsSubWindows) {
  const RateSpec spec{.amount = 10, .period = 15s, .algorithm = RateAlgorithm::kSlidingWindow};
  SavedRate saved{.algorithm = spec.algorithm, .period = spec.period, .into = Duration::max()};
  saved.used[0] = 10;
  EXPECT_EQ(RateLimiter(spec, saved, 0s, MonotonicTime()).take(1, MonotonicTime()).retry_after, 15s + 1ns);
}

TEST(RateSpec, IsValidated) {
  EXPECT_TRUE(validate({.amount = RateSpec::kMostAmount, .period = 24h}).has_value());
  const auto wrong = [](const RateSpec& spec) { return validate(spec).error().param; };
  EXPECT_EQ(wrong({.amount = 0}), "amount");
  EXPECT_EQ(wrong({.amount = RateSpec::kMostAmount + 1}), "amount");
  EXPECT_EQ(wrong({.period = 999us}), "period");
  EXPECT_EQ(wrong({.period = 24h * 367}), "period");
  EXPECT_EQ(wrong({.burst = kHuge}), "burst");
  EXPECT_EQ(wrong({.burst = 1, .algorithm = RateAlgorithm::kSlidingWindow}), "burst");
  EXPECT_EQ(wrong({.queue = 1}), "queue");
}

}  // namespace
}  // namespace autoglm::gateway
