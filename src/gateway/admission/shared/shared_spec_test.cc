#include "gateway/admission/shared/shared_spec.h"

#include <gtest/gtest.h>

namespace autoglm::gateway {
namespace {

using namespace std::chrono_literals;

TEST(SharedSpec, IsExactWhereTheRateAllowsIt) {
  EXPECT_EQ(SharedSpec::of({.amount = 2'000'000, .period = 24h}).value(),
            (SharedSpec{.kind = 'b', .parts = 43'200, .rate = 1, .most = 2'000'000, .room = 2'000'000}));
  EXPECT_EQ(SharedSpec::of({.amount = 1000, .period = 60s, .burst = 50}).value(),
            (SharedSpec{.kind = 'b', .parts = 60'000, .rate = 1, .most = 50, .room = 50}));
  EXPECT_EQ(SharedSpec::of({.amount = 10, .period = 1s, .algorithm = RateAlgorithm::kLeakyBucket, .queue = 5})
                .value(),
            (SharedSpec{.kind = 'l', .parts = 100'000, .rate = 1, .most = 10, .room = 15}));
  EXPECT_EQ(SharedSpec::of({.amount = 10, .period = 60s, .algorithm = RateAlgorithm::kSlidingWindow}).value(),
            (SharedSpec{.kind = 'w', .parts = 4'000'000, .rate = 1, .most = 10, .room = 10}));
}

TEST(SharedSpec, RoundsARateDownWhereItIsNotExact) {
  const RateSpec wanted{.amount = 999'983, .period = 24h};
  const SharedSpec spec = SharedSpec::of(wanted).value();
  EXPECT_LE(spec.room * spec.parts, std::uint64_t{1} << 52U);
  const double exact = 999'983.0 / 86'400e6;
  const double rate = static_cast<double>(spec.rate) / static_cast<double>(spec.parts);
  EXPECT_LE(rate, exact);
  EXPECT_GE(rate, exact * 0.999);
}

TEST(SharedSpec, RefusesWhatCannotBeCounted) {
  const auto slow = SharedSpec::of({.amount = 7, .period = 24h * 365, .burst = 1'000'000'007});
  ASSERT_FALSE(slow);
  EXPECT_EQ(slow.error().param, "burst");
  EXPECT_FALSE(SharedSpec::of({.amount = std::uint64_t{1} << 53U, .period = 1s}));
}

TEST(ShareOf, IsAPartOfTheRateAndOfTheBurst) {
  const RateSpec even = share_of({.amount = 900, .period = 60s, .burst = 100}, 3);
  EXPECT_EQ(even.amount, 300U);
  EXPECT_EQ(even.period, Duration(60s));
  EXPECT_EQ(even.burst, 33U);
  const RateSpec odd = share_of({.amount = 10, .period = 1s}, 3);
  EXPECT_EQ(odd.amount, 10U);
  EXPECT_EQ(odd.period, Duration(3s));
  EXPECT_EQ(odd.burst, 3U);
  const RateSpec window =
      share_of({.amount = 10, .period = 1s, .algorithm = RateAlgorithm::kSlidingWindow}, 3);
  EXPECT_EQ(window.amount, 3U);
  EXPECT_EQ(window.period, Duration(1s));
  EXPECT_TRUE(validate(window));
  EXPECT_EQ(share_of({.amount = 1, .period = 1s, .burst = 1}, 3).burst, 1U) << "never nothing";
  const RateSpec alone{
      .amount = 10, .period = 1s, .burst = 4, .algorithm = RateAlgorithm::kLeakyBucket, .queue = 9};
  EXPECT_EQ(share_of(alone, 1), alone);
}

}  // namespace
}  // namespace autoglm::gateway
