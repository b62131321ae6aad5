#include "gateway/admission/rate/rate_table.h"

#include "base/random.h"
#include "base/testing/manual_clock.h"

#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <thread>
#include <vector>

namespace autoglm::gateway {
namespace {

using namespace std::chrono_literals;

constexpr RateAlgorithm kAll[] = {RateAlgorithm::kTokenBucket, RateAlgorithm::kLeakyBucket,
                                  RateAlgorithm::kSlidingWindow};

template <class Work>
void on_threads(int count, const Work& work) {
  std::vector<std::jthread> threads;
  for (int thread = 0; thread < count; ++thread) threads.emplace_back([&work, thread] { work(thread); });
}

struct Limited {
  Limited(const RateSpec& of, std::size_t subjects) : table(of, subjects, clock.now()) {}

  RateDecision take(std::string_view subject, std::uint64_t amount) {
    return table.take(subject, amount, clock.now());
  }
  bool admits(std::string_view subject, std::uint64_t amount) {
    return take(subject, amount).verdict == Verdict::kAdmitted;
  }
  std::uint64_t remaining(std::string_view subject) { return table.state(subject, clock.now()).remaining; }

  ManualClock clock;
  RateTable table;
};

TEST(RateTable, EachSubjectHasItsOwnLimit) {
  Limited limits({.amount = 10, .period = 1s}, 100);
  EXPECT_TRUE(limits.admits("a", 10));
  EXPECT_FALSE(limits.admits("a", 1));
  EXPECT_TRUE(limits.admits("b", 4));
  EXPECT_EQ(limits.remaining("a"), 0U);
  EXPECT_EQ(limits.remaining("b"), 6U);
  EXPECT_EQ(limits.remaining("never seen"), 10U);
  EXPECT_EQ(limits.table.size(), 2U);
}

TEST(RateTable, SettlesASubjectsReservation) {
  Limited limits({.amount = 10, .period = 1s}, 100);
  const auto taken = limits.take("a", 10);
  limits.table.settle("a", taken.reservation, 3, limits.clock.now());
  EXPECT_EQ(limits.remaining("a"), 7U);
}

TEST(RateTable, ForgetsFreshLimitersOneByOne) {
  Limited limits({.amount = 1, .period = 1s}, 1000);
  for (int subject = 0; subject < 10'000; ++subject) {
    EXPECT_TRUE(limits.admits(std::to_string(subject), 1));
    limits.clock.advance(10ms);
    ASSERT_LE(limits.table.size(), 700U);  // 100 are in use at a time
  }
}

TEST(RateTable, NewSubjectsOfAFullTableShareOneLimit) {
  Limited limits({.amount = 10, .period = 1s}, 3);
  for (const char* subject : {"a", "b", "c"}) EXPECT_TRUE(limits.admits(subject, 1));
  EXPECT_TRUE(limits.admits("d", 6));
  const auto shared = limits.take("e", 4);
  EXPECT_TRUE(shared.reservation.shared);
  EXPECT_FALSE(limits.admits("f", 1));
  EXPECT_EQ(limits.remaining("g"), 0U);
  EXPECT_TRUE(limits.admits("a", 9)) << "the others have their own";
  EXPECT_EQ(limits.table.size(), 3U);
  limits.table.settle("e", shared.reservation, 1, limits.clock.now());
  EXPECT_TRUE(limits.admits("f", 3));

  limits.clock.advance(1s);
  EXPECT_FALSE(limits.take("f", 10).reservation.shared) << "there is a place again";
  EXPECT_FALSE(limits.admits("f", 1));
}

TEST(RateTable, ChargesWhatAForgottenSubjectUsedBeyondItsReservation) {
  Limited limits({.amount = 10, .period = 1s}, 1);
  const auto taken = limits.take("a", 1);
  limits.clock.advance(1s);
  EXPECT_TRUE(limits.admits("b", 1));  // takes the only place
  limits.clock.advance(1s);
  limits.table.settle("a", taken.reservation, 11, limits.clock.now());
  EXPECT_EQ(limits.remaining("a"), 0U);
  EXPECT_TRUE(limits.admits("b", 5)) << "from the overflow limiter, since a has the place";
}

TEST(RateTable, AForgottenReservationDoesNotPayForANewOne) {
  Limited limits({.amount = 10, .period = 1s}, 1);
  const auto old = limits.take("a", 10);
  limits.clock.advance(1s);
  limits.take("b", 0);  // a is forgotten
  limits.clock.advance(1s);
  EXPECT_TRUE(limits.admits("a", 10));
  limits.table.settle("a", old.reservation, 0, limits.clock.now());
  EXPECT_FALSE(limits.admits("a", 1));
}

TEST(RateTable, ChangesForAll) {
  for (const auto algorithm : kAll) {
    Limited limits({.amount = 10, .period = 1s}, 1);
    limits.take("a", 6);
    limits.take("b", 5);  // of the overflow limiter
    limits.table.change({.amount = 100, .period = 60s, .algorithm = algorithm}, limits.clock.now());
    EXPECT_EQ(limits.remaining("a"), 94U);
    EXPECT_EQ(limits.remaining("b"), 95U);
  }
}

TEST(RateTable, ShowsSavesAndRestoresSubjectsInUse) {
  Limited before({.amount = 10, .period = 10s}, 100);
  before.take("a", 6);
  before.take("b", 0);
  std::map<std::string, std::uint64_t> seen;
  before.table.for_each_state(before.clock.now(), [&](const std::string& subject, const RateState& state) {
    seen[subject] = state.remaining;
  });
  EXPECT_EQ(seen, (std::map<std::string, std::uint64_t>{{"a", 4U}}));

  Limited after(RateSpec{.amount = 10, .period = 10s}, 1);
  const auto restore = [&](const std::string& subject, const SavedRate& saved) {
    EXPECT_TRUE(after.table.restore(subject, saved, 2s, after.clock.now()));
    EXPECT_FALSE(after.table.restore("one too many", saved, 2s, after.clock.now()));
  };
  before.table.for_each_saved(before.clock.now(), restore);
  EXPECT_EQ(after.remaining("a"), 6U);
}

TEST(RateTable, ThreadsTogetherAreAdmittedExactlyWhatIsAllowed) {
  for (const auto algorithm : kAll) {
    Limited limits({.amount = 50'000, .period = 15s, .algorithm = algorithm}, 100);
    std::atomic<std::uint64_t> admitted{0}, refused{0};
    const auto hammer = [&](int) {
      for (int turn = 0; turn < 10'000; ++turn) ++(limits.admits("one", 1) ? admitted : refused);
    };
    on_threads(8, hammer);
    EXPECT_EQ(admitted, 50'000U);
    EXPECT_EQ(refused, 30'000U);
    limits.clock.advance(16s);
    on_threads(8, hammer);
    EXPECT_EQ(admitted, 100'000U);
  }
}

/// Threads reserve and settle with any use while the clock goes on, and each reads the clock before it waits
/// for the lock: together they settle no more than the limit allows, and nothing is lost.
TEST(RateTable, ThreadsThatSettleKeepTheLimit) {
  Limited limits({.amount = 1000, .period = 1s}, 100);
  const MonotonicTime begin = limits.clock.now();
  std::atomic<std::uint64_t> settled{0};
  on_threads(8, [&](int thread) {
    Random random(static_cast<std::uint64_t>(thread));
    for (int turn = 0; turn < 5000; ++turn) {
      const auto decision = limits.take("one", 1 + random.below(200));
      limits.clock.advance(Duration(random.below(100'000)));
      if (decision.verdict != Verdict::kAdmitted) continue;
      const std::uint64_t used = random.below(decision.reservation.amount + 1);
      limits.table.settle("one", decision.reservation, used, limits.clock.now());
      settled += used;
    }
  });
  const auto passed = static_cast<std::uint64_t>((limits.clock.now() - begin).count());
  EXPECT_LE(settled, 1000 + passed * 1000 / 1'000'000'000);
  EXPECT_GE(settled + limits.remaining("one"), 1000U);
  limits.clock.advance(1s);
  EXPECT_EQ(limits.remaining("one"), 1000U);
}

TEST(RateTable, ThreadsMayChangeAndLookWhileOthersTake) {
  Limited limits({.amount = 100, .period = 1s}, 2000);
  on_threads(4, [&](int thread) {
    for (int turn = 0; turn < 2000; ++turn) {
      limits.take(std::to_string(turn % 50 + thread), 1);
      limits.clock.advance(1ms);
      if (turn % 50 != 0) continue;
      limits.table.change(
          {.amount = 100U + static_cast<unsigned>(turn), .period = 1s, .algorithm = kAll[turn / 50 % 3]},
          limits.clock.now());
      limits.table.for_each_state(limits.clock.now(), [](const std::string&, const RateState& state) {
        EXPECT_LE(state.remaining, state.limit);
      });
    }
  });
}

}  // namespace
}  // namespace autoglm::gateway
