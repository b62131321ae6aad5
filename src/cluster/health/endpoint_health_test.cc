#include "cluster/health/endpoint_health.h"

#include <gtest/gtest.h>

namespace autoglm::cluster {
namespace {

using namespace std::chrono_literals;

class EndpointHealthTest : public ::testing::Test {
 protected:
  bool check(bool well) {
    return health.checked(well ? CheckResult::kWell : CheckResult::kUnwell, config, now);
  }
  Duration fail() { return health.failed(ejection, limit, now); }

  MonotonicTime now{Duration(1h)};
  HealthConfig config{.unhealthy_after = 3, .healthy_after = 2, .slow_start = 10s};
  EjectionConfig ejection{.consecutive_failures = 3, .base_time = 30s, .max_time = 100s};
  FailureLimit limit;
  EndpointHealth health;
};

TEST_F(EndpointHealthTest, GoesOutAfterMissesInARowAndComesBackAfterSuccessesInARow) {
  EXPECT_FALSE(check(false));
  EXPECT_FALSE(check(false));
  EXPECT_FALSE(check(true)) << "the row is broken";
  EXPECT_FALSE(check(false));
  EXPECT_FALSE(check(false));
  EXPECT_TRUE(health.well());
  EXPECT_TRUE(check(false));
  EXPECT_FALSE(health.well());
  EXPECT_FALSE(check(true));
  EXPECT_FALSE(check(false));
  EXPECT_FALSE(check(true));
  EXPECT_TRUE(check(true));
  EXPECT_TRUE(health.well());
}

TEST_F(EndpointHealthTest, TellsNobodyThereFromSomebodyUnwell) {
  for (int i = 0; i < 3; ++i) health.checked(CheckResult::kAbsent, config, now);
  EXPECT_TRUE(health.absent());
  check(false);
  EXPECT_FALSE(health.absent());
}

TEST_F(EndpointHealthTest, ComesBackSlowlyButBeginsAtOnce) {
  EXPECT_EQ(health.ramp(10s, now), 1000U) << "a process that starts has nobody else to ask";
  for (int i = 0; i < 3; ++i) check(false);
  for (int i = 0; i < 2; ++i) check(true);
  EXPECT_EQ(health.ramp(10s, now), 100U);
  EXPECT_EQ(health.ramp(10s, now + 500ms), 100U);
  EXPECT_EQ(health.ramp(10s, now + 5s), 500U);
  EXPECT_EQ(health.ramp(10s, now + 10s), 1000U);
  EXPECT_EQ(health.ramp(0s, now), 1000U) << "off";
}

TEST_F(EndpointHealthTest, EarnsLongerAndLongerEjections) {
  for (const auto expected : {30s, 60s, 90s, 100s, 100s}) {
    EXPECT_EQ(fail(), 0s);
    EXPECT_EQ(fail(), 0s);
    const Duration time = fail();
    EXPECT_EQ(time, expected);
    health.eject(time, now);
    EXPECT_EQ(fail(), 0s) << "of a request that began before";
    EXPECT_TRUE(health.ejected(now + time - 1ns));
    now += time;
    EXPECT_FALSE(health.ejected(now));
    EXPECT_EQ(health.ramp(10s, now), 100U);
  }
  now += 101s;  // well for long
  fail();
  fail();
  EXPECT_EQ(fail(), 30s);
}

TEST_F(EndpointHealthTest, ASuccessBreaksTheRow) {
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(fail(), 0s);
    EXPECT_EQ(fail(), 0s);
    health.succeeded();
  }
}

TEST_F(EndpointHealthTest, ACheckThatSucceedsEndsAnEjection) {
  health.eject(30s, now);
  for (int i = 0; i < 3; ++i) check(false);
  for (int i = 0; i < 2; ++i) check(true);
  EXPECT_FALSE(health.ejected(now));
}

TEST_F(EndpointHealthTest, CountsFailuresInAWindowAsNginxDoes) {
  ejection.consecutive_failures = 0;
  limit = {.max_fails = 2, .window = 10s};
  EXPECT_EQ(fail(), 0s);
  now += 11s;  // the first one is forgotten
  EXPECT_EQ(fail(), 0s);
  now += 9s;
  EXPECT_EQ(fail(), 10s);
}

TEST_F(EndpointHealthTest, ACheckThatSucceedsAgainEndsAnEjection) {
  check(true);
  health.eject(30s, now);
  now += 1s;
  EXPECT_FALSE(check(true));
  EXPECT_TRUE(health.ejected(now)) << "its checks never failed: they say nothing of what its requests met";
  check(false);
  EXPECT_FALSE(check(true)) << "as many as healthy_after";
  EXPECT_FALSE(health.came_back());
  EXPECT_TRUE(check(true));
  EXPECT_TRUE(health.came_back());
  EXPECT_FALSE(health.ejected(now));
  EXPECT_EQ(health.ramp(10s, now), 100U) << "slowly";
  EXPECT_FALSE(check(true));
  EXPECT_FALSE(health.came_back()) << "once";
}

TEST_F(EndpointHealthTest, ACheckThatSucceedsEndsTheEjectionOfOneThatWasNotThere) {
  config.healthy_after = 1;
  check(true);
  health.nobody_there();
  health.eject(30s, now);
  EXPECT_TRUE(check(true));
  EXPECT_FALSE(health.ejected(now));
  health.eject(30s, now);
  EXPECT_FALSE(check(true)) << "this time it was there";
  EXPECT_TRUE(health.ejected(now));
}

}  // namespace
}  // namespace autoglm::cluster
