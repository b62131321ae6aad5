#include "runtime/timer_queue.h"

#include "base/random.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <vector>

namespace autoglm {
namespace {

using namespace std::chrono_literals;

constexpr MonotonicTime kStart(5s);

/// A queue beside a model of it: takes all that is due, and checks that a loop which sleeps until `next`
/// would have been in time.
class TimerQueueTest : public ::testing::Test {
 protected:
  Timer& add(MonotonicTime at) {
    Timer& timer = timers_.emplace_back([] {});
    timer.arm(queue_, at);
    return timer;
  }

  /// The times at which a loop that sleeps as long as it may takes timers, until `end`.
  std::vector<MonotonicTime> run_until(MonotonicTime end) {
    std::vector<MonotonicTime> taken;
    while (now_ < end) {
      now_ = std::min(end, std::max(now_, queue_.next()));
      while (Timer* timer = queue_.take(now_)) {
        EXPECT_FALSE(timer->armed());
        EXPECT_EQ(std::max(timer->at(), now_), now_);
        taken.push_back(now_);
      }
    }
    return taken;
  }

  MonotonicTime now_ = kStart;
  TimerQueue queue_{kStart};
  std::deque<Timer> timers_;
};

TEST_F(TimerQueueTest, TakesEachTimerAtItsTimeHoweverFarItWas) {
  std::vector<MonotonicTime> times;
  for (const auto after : {0ns, 1ns, 999'999'999ns, 1'073'741'824ns}) {
    for (const auto base : {0s, 1s, 2s, 30s, 75s, 136s, 137s, 138s, 139s, 275s, 600s, 3600s, 86'400s})
      times.push_back(kStart + base + after);
  }
  for (const MonotonicTime at : times) add(at);
  add(MonotonicTime::max());
  std::ranges::sort(times);
  EXPECT_EQ(run_until(kStart + 90'000s), times);
}

TEST_F(TimerQueueTest, TakesTimersThatAreDueAlready) {
  add(MonotonicTime::min());
  add(kStart - 1h);
  EXPECT_EQ(run_until(kStart + 1ns), (std::vector<MonotonicTime>{kStart, kStart}));
}

TEST_F(TimerQueueTest, OfEqualTimesTakesTheFirstAddedFirst) {
  std::vector<Timer*> added;
  for (int i = 0; i < 5; ++i) added.push_back(&add(kStart + 30s));
  EXPECT_EQ(queue_.take(kStart + 29s), nullptr);
  added.push_back(&add(kStart + 30s));  // when the others are in order
  for (Timer* timer : added) EXPECT_EQ(queue_.take(kStart + 30s), timer);
}

TEST_F(TimerQueueTest, SleepsLongWhileOnlyDistantTimersAreArmed) {
  EXPECT_EQ(queue_.next(), MonotonicTime::max());
  Timer& deadline = add(kStart + 30s);
  EXPECT_GT(queue_.next(), kStart + 27s);
  EXPECT_LE(queue_.next(), kStart + 30s);
  deadline.cancel();
  EXPECT_EQ(queue_.next(), MonotonicTime::max());
  add(kStart + 1h);
  EXPECT_GT(queue_.next(), kStart + 60s) << "once a round of the slots is enough";
}

TEST_F(TimerQueueTest, ATimerIsTakenBackAndMovedWhereverItIs) {
  for (const auto far : {10ms, 30'000ms, 3'600'000ms}) {
    Timer& gone = add(now_ + far);
    Timer& moved = add(now_ + far);
    gone.cancel();
    EXPECT_FALSE(gone.armed());
    EXPECT_TRUE(moved.armed());
    const MonotonicTime at = now_ + 5ms;
    moved.arm(queue_, at);
    EXPECT_EQ(run_until(now_ + 2 * far), std::vector<MonotonicTime>{at});
  }
}

TEST_F(TimerQueueTest, KeepsUpWithAClockThatJumps) {
  Random random(7);
  std::size_t added = 0;
  std::size_t taken = 0;
  for (int round = 0; round < 2000; ++round) {
    for (int i = 0; i < 5; ++i, ++added) add(now_ + Duration(random.below(400'000'000'000)));
    now_ += Duration(random.below(round % 10 == 0 ? 500'000'000'000 : 3'000'000'000));
    MonotonicTime before = MonotonicTime::min();
    while (Timer* timer = queue_.take(now_)) {
      EXPECT_LE(timer->at(), now_);
      EXPECT_GE(timer->at(), before);
      before = timer->at();
      ++taken;
    }
    const auto late = [&](const Timer& timer) { return timer.armed() && timer.at() <= now_; };
    ASSERT_EQ(std::ranges::count_if(timers_, late), 0);
  }
  taken += run_until(now_ + 400s).size();
  EXPECT_EQ(taken, added);
}

}  // namespace
}  // namespace autoglm
