#include "base/random.h"

#include <gtest/gtest.h>

#include <vector>

namespace autoglm {
namespace {

// Known answers of the Random123 distribution (kat_vectors, philox4x32 10).
TEST(Philox, MatchesTheKnownAnswers) {
  EXPECT_EQ(philox(0, 0, 0), (std::array<std::uint32_t, 4>{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox(~0ULL, ~0ULL, ~0ULL),
            (std::array<std::uint32_t, 4>{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
}

TEST(UniformDraw, DependsOnSeedIndexAndStreamOnly) {
  EXPECT_EQ(uniform_draw(1, 2, 3), uniform_draw(1, 2, 3));
  EXPECT_NE(uniform_draw(1, 2, 3), uniform_draw(2, 2, 3));
  EXPECT_NE(uniform_draw(1, 2, 3), uniform_draw(1, 3, 3));
  EXPECT_NE(uniform_draw(1, 2, 3), uniform_draw(1, 2, 4));
}

TEST(UniformDraw, FillsTheUnitInterval) {
  std::vector<int> bins(10);
  for (std::uint64_t i = 0; i < 10'000; ++i) {
    const double u = uniform_draw(7, i);
    ASSERT_GE(u, 0.0);
    ASSERT_LT(u, 1.0);
    ++bins[static_cast<std::size_t>(u * 10)];
  }
  for (const int count : bins) EXPECT_NEAR(count, 1000, 150);
}

TEST(Random, BelowStaysBelow) {
  Random random(42);
  for (int i = 0; i < 10'000; ++i) ASSERT_LT(random.below(7), 7U);
}

}  // namespace
}  // namespace autoglm
