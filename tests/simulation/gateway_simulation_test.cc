#include "gateway_world.h"

#include <gtest/gtest.h>

#include <string>

namespace autoglm::gateway {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || \
    (defined(__has_feature) && (__has_feature(address_sanitizer) || __has_feature(thread_sanitizer)))
constexpr bool kWhole = false;
constexpr std::uint64_t kWorlds = 2;
#else
constexpr bool kWhole = true;
constexpr std::uint64_t kWorlds = 84;
#endif
constexpr std::uint64_t kRequests = 20'000;  // in each

/// One test a policy, so that they run beside one another: 10,080,000 requests in all.
class GatewaySimulation : public ::testing::TestWithParam<Balance> {};

TEST_P(GatewaySimulation, EveryRequestEndsOnceAndEveryGuardHolds) {
  Tally tally;
  for (std::uint64_t seed = 1; seed <= kWorlds; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    World world(seed, GetParam());
    ASSERT_NO_FATAL_FAILURE(world.run(kRequests));
    ASSERT_NO_FATAL_FAILURE(world.check_at_rest());
    tally += world.tally();
  }
  EXPECT_EQ(tally[Saw::kRequest], kWorlds * kRequests);
  // The simulation must have taken every path that it is about; a few worlds, under sanitizers, need not.
  for (std::size_t i = 0; kWhole && i < kSights; ++i)
    EXPECT_GE(tally[static_cast<Saw>(i)], 100U) << kSightNames.at(i);
}

INSTANTIATE_TEST_SUITE_P(Policies, GatewaySimulation,
                         ::testing::Values(Balance::kRoundRobin, Balance::kWeightedRoundRobin,
                                           Balance::kLeastConnections, Balance::kLeastLoad,
                                           Balance::kPowerOfTwo, Balance::kPrefixAffinity),
                         [](const auto& instance) {
                           for (const auto& [name, value] : enum_names(Balance())) {
                             if (value == instance.param) return std::string(name);
                           }
                           return std::string("unnamed");
                         });

}  // namespace
}  // namespace autoglm::gateway
