#include "gateway/admission/groups/departure_rate.h"

#include <gtest/gtest.h>

namespace autoglm::gateway {
namespace {

using namespace std::chrono_literals;

constexpr MonotonicTime kStart{std::chrono::hours(1)};

TEST(DepartureRate, CountsWhileTheGroupIsFullAndIsSolidAfterEight) {
  DepartureRate rate;
  MonotonicTime now = kStart;
  for (std::uint32_t i = 0; i < DepartureRate::kSolid; ++i) {
    EXPECT_FALSE(rate.solid());
    rate.not_full();
    rate.departed(now);  // tells nothing
    now += 1h;           // nobody comes
    rate.full(now);
    rate.full(now + 1s);  // it was full already
    now += 2s;
    rate.departed(now);
  }
  EXPECT_TRUE(rate.solid());
  EXPECT_EQ(rate.until(3), 6s);
  rate.forget();
  EXPECT_FALSE(rate.solid());
}

TEST(DepartureRate, FollowsAChange) {
  DepartureRate rate;
  MonotonicTime now = kStart;
  rate.full(now);
  for (int i = 0; i < 100; ++i) rate.departed(now += 10s);
  EXPECT_EQ(rate.until(1), 10s);
  for (int i = 0; i < 500; ++i) rate.departed(now += 1s);
  EXPECT_LT(rate.until(1), 1100ms);
  rate.departed(now - 5s);  // another loop's clock is behind
  EXPECT_GE(rate.until(1), 0s);
  EXPECT_GT(rate.until(std::size_t{1} << 62U), 24h * 365) << "it does not overflow";
}

}  // namespace
}  // namespace autoglm::gateway
