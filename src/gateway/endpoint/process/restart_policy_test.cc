#include "gateway/endpoint/process/restart_policy.h"

#include <gtest/gtest.h>

namespace autoglm::gateway {
namespace {

using namespace std::chrono_literals;

class RestartPolicyTest : public ::testing::Test {
 protected:
  RestartPolicy::Restart dies_after(Duration up) {
    now_ += 1s;
    const MonotonicTime since = now_;
    now_ += up;
    return policy_.after({.at = now_, .up_since = since});
  }
  RestartPolicy::Restart does_not_come_up() {
    now_ += 1s;
    return policy_.after({.at = now_});
  }

  MonotonicTime now_ = MonotonicTime(100s);
  RestartPolicy policy_{1};
};

TEST_F(RestartPolicyTest, RestartsAtOnceTheFirstTime) {
  EXPECT_EQ(dies_after(1h).after, 0s);
  EXPECT_EQ(RestartPolicy(1).after({.at = now_}).after, 0s);
}

TEST_F(RestartPolicyTest, KeepsOneThatComesUpWithinASecond) {
  Duration before = 0s;
  for (int i = 0; i < 100; ++i) {
    const auto restart = dies_after(1ms);
    EXPECT_LE(restart.after, RestartPolicy::kServedPause);
    EXPECT_FALSE(restart.failed);
    if (i > 0 && i < 4) EXPECT_GT(restart.after, before / 2);
    if (i > 10) EXPECT_GE(restart.after, RestartPolicy::kServedPause / 2);
    before = restart.after;
  }
}

TEST_F(RestartPolicyTest, ForgetsDeathsOnceItWasHealthyForAWhile) {
  for (int i = 0; i < 5; ++i) dies_after(1ms);
  EXPECT_GT(dies_after(RestartPolicy::kHealthy - 1ms).after, 0s);
  EXPECT_EQ(dies_after(RestartPolicy::kHealthy).after, 0s);
}

TEST_F(RestartPolicyTest, BacksOffFromOneThatDoesNotComeUpAndGivesUpWaiting) {
  Duration sum = 0s;
  for (std::uint32_t i = 1; i <= 20; ++i) {
    const auto restart = does_not_come_up();
    EXPECT_LE(restart.after, RestartPolicy::kUnservedPause);
    EXPECT_EQ(restart.failed, i >= RestartPolicy::kAttempts);
    sum += restart.after;
  }
  EXPECT_GE(sum, 2 * RestartPolicy::kUnservedPause);
  dies_after(1ms);
  EXPECT_EQ(does_not_come_up().after, 0s);  // it had come up in between
}

TEST_F(RestartPolicyTest, TriesWhatCannotBeLoadedAtLongIntervals) {
  const auto restart = policy_.after({.at = now_, .could_not_load = true});
  EXPECT_TRUE(restart.failed);
  EXPECT_EQ(restart.after, RestartPolicy::kFailedPause);
}

TEST_F(RestartPolicyTest, DoesNotRestartManyAtTheSameMoment) {
  RestartPolicy other(2);
  Duration ours = 0s;
  Duration theirs = 0s;
  for (int i = 0; i < 3; ++i) {
    ours = policy_.after({.at = now_}).after;
    theirs = other.after({.at = now_}).after;
  }
  EXPECT_NE(ours, theirs);
}

}  // namespace
}  // namespace autoglm::gateway
