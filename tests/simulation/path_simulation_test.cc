#include "path_world.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>

namespace autoglm::simulation {
namespace {

#ifdef __OPTIMIZE__
constexpr std::uint64_t kWorlds = 30;
constexpr std::uint64_t kCalls = 250'000;
#else
constexpr std::uint64_t kWorlds = 1;
constexpr std::uint64_t kCalls = 500;
#endif

/// Four parts that run beside one another, a million requests in all.
class PathSimulation : public ::testing::TestWithParam<std::uint64_t> {};

TEST_P(PathSimulation, KeepsWhatIsPromised) {
  Sums sums;
  for (std::uint64_t i = 0; i < kWorlds; ++i) {
    const std::uint64_t seed = 1 + GetParam() + 4 * i;
    PathWorld world(seed);
    world.run();
    for (const std::string& breach : world.breaches())
      ADD_FAILURE() << breach << "\nagain: ./dev simulate --seed " << seed;
    sums += world.sums();
  }
  EXPECT_GE(sums.calls, kCalls);
  // The simulation must have taken the paths that it is about.
  if (kWorlds == 1) return;
  EXPECT_GT(sums.faults, kCalls / 100);
  EXPECT_GT(sums.retries, kCalls / 200);
  EXPECT_GT(sums.resumes, kCalls / 2000);
  for (const Ending ending : {Ending::kErrorEvent, Ending::kRefused, Ending::kLeft})
    EXPECT_GT(sums.by_ending.at(static_cast<std::size_t>(ending)), 20U);
}

INSTANTIATE_TEST_SUITE_P(Parts, PathSimulation, ::testing::Range<std::uint64_t>(0, 4));

TEST(SimulatedMachine, DoesTheSameForASeed) {
  for (const std::uint64_t seed : {8, 9}) {  // with an engine, and without
    std::uint64_t fingerprints[2] = {};
    for (std::uint64_t& fingerprint : fingerprints) {
      PathWorld world(seed);
      world.run();
      fingerprint = world.fingerprint();
    }
    EXPECT_EQ(fingerprints[0], fingerprints[1]) << "seed " << seed;
  }
}

}  // namespace
}  // namespace autoglm::simulation
