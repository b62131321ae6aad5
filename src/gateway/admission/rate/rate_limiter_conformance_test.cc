// The limiters against references that are written in another way: GCRA with exact times for the buckets, a
// log of all takes for the sliding window. Every decision, delay, moment of retry and remainder must be
// equal.
#include "base/random.h"
#include "gateway/admission/rate/rate_limiter.h"

#include <gtest/gtest.h>

#include <deque>
#include <vector>

namespace autoglm::gateway {
namespace {

using namespace std::chrono_literals;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || \
    (defined(__has_feature) && (__has_feature(address_sanitizer) || __has_feature(thread_sanitizer)))
constexpr int kLess = 40;  // under sanitizers, which are slow
#else
constexpr int kLess = 1;
#endif

/// Time as a limiter must see it: it stands while the clock is a little behind, and goes on where the clock
/// was set back to.
struct SeenTime {
  void see(MonotonicTime now) {
    if (now > last) passed += nanoseconds(now - last);
    if (now > last || last - now > RateLimiter::kClockStep) last = now;
  }
  Duration behind(MonotonicTime now) const { return now < last ? last - now : 0ns; }

  MonotonicTime last;
  std::uint64_t passed = 0;
};

/// What a reference says of a take.
struct Expected {
  bool admitted;
  Wide delay = 0;  // in nanoseconds, of the time that is seen
  Wide retry = 0;
};

/// The theoretical arrival time of the next take, in units of 1/amount of a nanosecond, and a log of charges.
struct BucketReference {
  Wide at(std::uint64_t passed) const { return Wide{passed} * spec.amount; }
  Wide debt(std::uint64_t passed) const { return arrival > at(passed) ? arrival - at(passed) : 0; }
  Wide most() const { return Wide{spec.most_at_once()} * nanoseconds(spec.period); }
  Wide most_waiting() const { return most() + Wide{spec.queue} * nanoseconds(spec.period); }
  Wide ceiling(Wide over) const { return over / spec.amount + (over % spec.amount == 0 ? 0 : 1); }

  Expected take(std::uint64_t amount, std::uint64_t passed) {
    const Wide next = std::max(arrival, at(passed)) + Wide{amount} * nanoseconds(spec.period);
    const Wide ahead = next - at(passed);
    if (ahead > most_waiting()) return {.admitted = false, .retry = ceiling(ahead - most_waiting())};
    arrival = next;
    log.push_back(amount);
    return {.admitted = true, .delay = ahead > most() ? ceiling(ahead - most()) : 0};
  }
  void settle(std::size_t charge, std::uint64_t used, std::uint64_t passed) {
    const std::uint64_t amount = log[charge];
    if (used > amount) {
      log.push_back(used - amount);
      arrival = std::max(arrival, at(passed)) + Wide{used - amount} * nanoseconds(spec.period);
      return;
    }
    Wide newer = 0;
    for (std::size_t later = charge + 1; later < log.size(); ++later) newer += log[later];
    newer *= nanoseconds(spec.period);
    if (debt(passed) <= newer) return;
    if (spec.algorithm == RateAlgorithm::kLeakyBucket && newer > 0 && debt(passed) > most()) return;
    arrival = at(passed) + debt(passed) -
              std::min(debt(passed) - newer, Wide{amount - used} * nanoseconds(spec.period));
  }
  std::uint64_t remaining(std::uint64_t passed) const {
    const Wide taken = debt(passed);
    return taken >= most_waiting() ? 0 : saturated((most_waiting() - taken) / nanoseconds(spec.period));
  }
  Wide reset(std::uint64_t passed) const { return ceiling(debt(passed)); }

  RateSpec spec;
  Wide arrival = 0;
  std::vector<std::uint64_t> log;
};

/// Every take with the moment until which it counts: the end of its sub-window, and a period.
struct WindowReference {
  struct Take {
    std::uint64_t until;
    std::uint64_t amount;
  };
  std::uint64_t width() const { return (nanoseconds(spec.period) + 14) / 15; }
  std::uint64_t until(std::uint64_t passed) const { return (passed / width() + 16) * width(); }
  void forget(std::uint64_t passed) {
    for (; first < log.size() && log[first].until <= passed; ++first) sum -= log[first].amount;
  }

  Expected take(std::uint64_t amount, std::uint64_t passed) {
    forget(passed);
    if (sum + amount <= spec.amount) {
      log.push_back({.until = until(passed), .amount = amount});
      sum += amount;
      return {.admitted = true};
    }
    Wide left = sum + amount;
    std::size_t leaves = first;
    while ((left -= log[leaves].amount) > spec.amount) ++leaves;
    return {.admitted = false, .retry = log[leaves].until - passed};
  }
  void settle(std::size_t charge, std::uint64_t used, std::uint64_t passed) {
    forget(passed);
    if (used > log[charge].amount) {
      log.push_back({.until = until(passed), .amount = used - log[charge].amount});
      sum += log.back().amount;
    } else if (charge >= first) {
      sum -= log[charge].amount - used;
      log[charge].amount = used;
    }
  }
  std::uint64_t remaining(std::uint64_t passed) {
    forget(passed);
    return sum >= spec.amount ? 0 : spec.amount - static_cast<std::uint64_t>(sum);
  }
  Wide reset(std::uint64_t passed) {
    forget(passed);
    for (std::size_t newest = log.size(); newest > first; --newest)
      if (log[newest - 1].amount != 0) return log[newest - 1].until - passed;
    return 0;
  }

  RateSpec spec;
  std::vector<Take> log;
  std::size_t first = 0;  // that still counts
  Wide sum = 0;
};

/// One limit of any size and a load about as large as it allows, on a clock that is set now and then.
template <class Reference>
struct Simulation {
  Simulation(std::uint64_t seed, RateAlgorithm algorithm) : random(seed), spec(any_spec(algorithm)) {
    const std::uint64_t most = spec.most_at_once();
    largest = random.below(4) == 0 ? most : std::max<std::uint64_t>(most / (1 + random.below(40)), 1);
    const double rate = static_cast<double>(spec.amount) / static_cast<double>(spec.period.count());
    step = static_cast<double>(largest) / 2 / rate * (0.3 + 1.5 * random.uniform());
    step = std::min(step, 1e15);
    seen.last = now;
  }

  RateSpec any_spec(RateAlgorithm algorithm) {
    static constexpr std::uint64_t kAmounts[] = {
        1, 7, 60, 1000, 999'983, std::uint64_t{1} << 40U, RateSpec::kMostAmount};
    static constexpr Duration kPeriods[] = {1ms, 1234567ns, 1s, 60s, 1h, 24h};
    RateSpec any{.amount = kAmounts[random.below(std::size(kAmounts))],
                 .period = kPeriods[random.below(std::size(kPeriods))],
                 .algorithm = algorithm};
    if (algorithm != RateAlgorithm::kSlidingWindow && random.below(2) == 0)
      any.burst = 1 + random.below(2 * std::min(any.amount, RateSpec::kMostAmount / 2));
    if (algorithm == RateAlgorithm::kLeakyBucket) any.queue = static_cast<std::uint32_t>(random.below(100));
    EXPECT_TRUE(validate(any).has_value());
    return any;
  }

  void pass(std::uint64_t dice) {
    if (dice % 4 == 0) return;  // at the same moment
    if (clock_steps && dice % 512 == 1) {
      now += (dice & 1024U) != 0 ? 1h : -1h;
    } else if (dice % 512 == 2) {
      now -= Duration(dice % 1000);
    } else {
      now += Duration(
          static_cast<Duration::rep>(step * 2 * static_cast<double>((dice >> 16U) & 0xFFFFU) / 65536));
    }
  }

  bool take(std::uint64_t amount) {
    seen.see(now);
    const RateDecision decision = limiter.take(amount, now);
    const Expected expected = reference.take(amount, seen.passed);
    const auto wait = [&](Wide expected_wait) {
      return expected_wait == 0 ? 0ns : duration_of(expected_wait + nanoseconds(seen.behind(now)));
    };
    ++decisions;
    refusals += expected.admitted ? 0 : 1;
    retry = decision.retry_after;
    equal &= (decision.verdict == Verdict::kAdmitted) == expected.admitted;
    equal &= decision.delay == wait(expected.delay) && decision.retry_after == wait(expected.retry);
    equal &= decision.state.remaining == reference.remaining(seen.passed);
    equal &= decision.state.reset == wait(reference.reset(seen.passed));
    reservation = decision.reservation;
    return decision.verdict == Verdict::kAdmitted;
  }

  /// The next take, and after some refusals one a nanosecond too early and one at the moment named.
  bool go_on() {
    const std::uint64_t dice = random();
    pass(dice);
    const std::uint64_t amount = dice % 64 == 3 ? 0 : 1 + random.below(largest);
    if (take(amount)) return true;
    if (dice % 8 != 0 || retry > 24h * 1000) return false;
    now += retry - 1ns;
    refused_early &= !take(amount);
    now += 1ns;
    const bool admitted = take(amount);
    admitted_then &= admitted;
    return admitted;
  }

  Random random;
  MonotonicTime now{10h};
  RateSpec spec;
  RateLimiter limiter{spec, now};
  Reference reference{.spec = spec};
  SeenTime seen;
  Reservation reservation;
  Duration retry{};
  double step = 0;
  std::uint64_t largest = 1;
  std::uint64_t decisions = 0, refusals = 0;
  bool clock_steps = true;
  bool equal = true, refused_early = true, admitted_then = true;
};

template <class Reference>
std::uint64_t compare(RateAlgorithm algorithm, int seeds) {
  std::uint64_t decisions = 0, refusals = 0;
  for (int seed = 0; seed < seeds; ++seed) {
    Simulation<Reference> simulation(static_cast<std::uint64_t>(seed), algorithm);
    for (int turn = 0; turn < 10'000; ++turn) simulation.go_on();
    EXPECT_TRUE(simulation.equal) << "seed " << seed;
    EXPECT_TRUE(simulation.refused_early) << "seed " << seed;
    EXPECT_TRUE(simulation.admitted_then) << "seed " << seed;
    decisions += simulation.decisions;
    refusals += simulation.refusals;
  }
  EXPECT_GT(refusals, decisions / 5) << "the load is about as large as the limits";
  EXPECT_LT(refusals, decisions / 5 * 4);
  return decisions;
}

TEST(RateLimiterConformance, BucketsDecideAsExactGcra) {
  EXPECT_GE(compare<BucketReference>(RateAlgorithm::kTokenBucket, 360 / kLess), 3'600'000U / kLess);
  EXPECT_GE(compare<BucketReference>(RateAlgorithm::kLeakyBucket, 360 / kLess), 3'600'000U / kLess);
}

TEST(RateLimiterConformance, SlidingWindowsDecideAsALogOfAllTakes) {
  EXPECT_GE(compare<WindowReference>(RateAlgorithm::kSlidingWindow, 360 / kLess), 3'600'000U / kLess);
}

/// What a take has used in the end, at the moment of the take.
struct Used {
  std::uint64_t at;
  std::uint64_t amount;
};

/// A bucket from which only what was used was taken, at once: it never overflows exactly if in every span of
/// time the use is at most its burst and what its rate allows. `rounding`: of the times, in nanoseconds.
bool never_overflows(const RateSpec& spec, const std::vector<Used>& all, std::uint64_t rounding = 0) {
  Wide debt = 0;
  std::uint64_t last = 0;
  for (const Used& used : all) {
    const Wide drained = Wide{used.at - last} * spec.amount;
    debt = (debt > drained ? debt - drained : 0) + Wide{used.amount} * nanoseconds(spec.period);
    last = used.at;
    const Wide most = Wide{spec.most_at_once()} * nanoseconds(spec.period) + Wide{rounding} * spec.amount;
    if (debt > most) return false;
  }
  return true;
}

bool no_span_sees_more(const RateSpec& spec, const std::vector<Used>& all) {
  Wide sum = 0;
  std::size_t first = 0;
  for (const Used& used : all) {
    sum += used.amount;
    while (used.at - all[first].at > nanoseconds(spec.period)) sum -= all[first++].amount;
    if (sum > spec.amount) return false;
  }
  return true;
}

struct Open {
  Reservation reservation;
  std::size_t charge;  // in the reference's log
  std::size_t use;     // in `all`
};

/// Takes are settled late and in any order, some after the bucket is full again, with anything from nothing
/// to `most_percent` of what they reserved. Returns every use.
template <class Reference>
std::vector<Used> settle_at_random(Simulation<Reference>& simulation, int turns,
                                   std::uint64_t most_percent = 100) {
  std::vector<Used> all;
  std::vector<Open> open;
  const std::size_t most_open = 1 + simulation.random.below(60);
  const auto settle = [&] {
    auto& any = open[simulation.random.below(open.size())];
    const std::uint64_t dice = simulation.random();
    const std::uint64_t amount = any.reservation.amount;
    const std::uint64_t most = saturated(divide(Wide{amount} * most_percent, 100));
    std::uint64_t used = dice % 3 == 0 ? amount : 0;
    if (dice % 3 == 2) used = simulation.random.below(most + 1);
    simulation.seen.see(simulation.now);
    simulation.limiter.settle(any.reservation, used, simulation.now);
    simulation.reference.settle(any.charge, used, simulation.seen.passed);
    all[any.use].amount = used;
    any = open.back();
    open.pop_back();
  };
  for (int turn = 0; turn < turns; ++turn) {
    if (simulation.go_on()) {
      open.push_back({simulation.reservation, simulation.reference.log.size() - 1, all.size()});
      all.push_back({.at = simulation.seen.passed, .amount = simulation.reservation.amount});
    }
    while (!open.empty() && (open.size() > most_open || simulation.random.below(3) == 0)) settle();
  }
  while (!open.empty()) settle();
  return all;
}

TEST(RateLimiterConformance, WhatIsSettledOfATokenBucketKeepsItsLimitInAnySpan) {
  for (std::uint64_t seed = 0; seed < 200 / kLess; ++seed) {
    Simulation<BucketReference> simulation(seed, RateAlgorithm::kTokenBucket);
    const auto all = settle_at_random(simulation, 1000);
    EXPECT_TRUE(simulation.equal && simulation.refused_early && simulation.admitted_then) << "seed " << seed;
    EXPECT_TRUE(never_overflows(simulation.spec, all)) << "seed " << seed;
  }
}

TEST(RateLimiterConformance, WhatIsUsedBeyondReservationsIsChargedInFull) {
  for (std::uint64_t seed = 0; seed < 200 / kLess; ++seed) {
    Simulation<BucketReference> simulation(
        seed, seed % 2 == 0 ? RateAlgorithm::kLeakyBucket : RateAlgorithm::kTokenBucket);
    settle_at_random(simulation, 1000, 150);
    EXPECT_TRUE(simulation.equal && simulation.refused_early && simulation.admitted_then) << "seed " << seed;
  }
}

TEST(RateLimiterConformance, WhatIsSettledOfASlidingWindowKeepsItsLimitInAnySpan) {
  for (std::uint64_t seed = 0; seed < 200 / kLess; ++seed) {
    Simulation<WindowReference> simulation(seed, RateAlgorithm::kSlidingWindow);
    const auto all = settle_at_random(simulation, 5000);
    EXPECT_TRUE(simulation.equal && simulation.refused_early && simulation.admitted_then) << "seed " << seed;
    EXPECT_TRUE(no_span_sees_more(simulation.spec, all)) << "seed " << seed;
  }
}

/// The turns of a leaky bucket's takes, those that waited too, leave at its rate.
TEST(RateLimiterConformance, TheTurnsOfALeakyBucketKeepItsLimitInAnySpan) {
  for (std::uint64_t seed = 0; seed < 100 / kLess; ++seed) {
    Simulation<BucketReference> simulation(seed, RateAlgorithm::kLeakyBucket);
    simulation.clock_steps = false;
    std::vector<Used> turns;
    for (int turn = 0; turn < 10'000; ++turn) {
      simulation.seen.see(simulation.now);
      const std::uint64_t amount = 1 + simulation.random.below(simulation.largest);
      simulation.pass(simulation.random());
      simulation.seen.see(simulation.now);
      const auto decision = simulation.limiter.take(amount, simulation.now);
      if (decision.verdict != Verdict::kAdmitted) continue;
      const Duration behind = decision.delay == 0ns ? 0ns : simulation.seen.behind(simulation.now);
      turns.push_back(
          {.at = simulation.seen.passed + nanoseconds(decision.delay - behind), .amount = amount});
    }
    EXPECT_TRUE(never_overflows(simulation.spec, turns, 1)) << "seed " << seed;
  }
}

}  // namespace
}  // namespace autoglm::gateway
