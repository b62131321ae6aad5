#include "engine/scheduler/shares/share_split.h"

#include <gtest/gtest.h>

#include <numeric>
#include <random>

namespace autoglm::engine {
namespace {

void expect_split(const std::vector<SharePart>& parts, const std::vector<double>& expected) {
  const std::vector<double> split = split_by_shares(parts);
  ASSERT_EQ(split.size(), expected.size());
  for (std::size_t i = 0; i < split.size(); ++i) EXPECT_NEAR(split[i], expected[i], 1e-9) << i;
}

TEST(ShareSplit, GoesByWeightUnlessAShareOrAMaximumSaysOtherwise) {
  expect_split({}, {});
  expect_split({{}}, {1});
  expect_split({{.weight = 3}, {.weight = 1}}, {0.75, 0.25});
  expect_split({{.share = 0.5}, {}}, {0.5, 0.5});
  expect_split({{.share = 0.5}, {}, {}}, {0.5, 0.25, 0.25});
  expect_split({{.share = 0.2, .weight = 3}, {}}, {0.75, 0.25});
  expect_split({{.max = 0.3, .weight = 9}, {}}, {0.3, 0.7});
  expect_split({{.max = 0.3}}, {0.3});
  expect_split({{.share = 1}, {}}, {1, 0.01});
  expect_split({{.weight = 1e-6}, {.weight = 1e-6}}, {0.5, 0.5});
}

TEST(ShareSplit, KeepsEveryBoundAndGivesAllOut) {
  std::mt19937_64 random(1);
  std::uniform_real_distribution<double> some(0, 1);
  for (int round = 0; round < 2000; ++round) {
    std::vector<SharePart> parts(1 + random() % 8);
    double most = 0;
    for (SharePart& part : parts) {
      part.share = some(random) / static_cast<double>(parts.size());
      part.max = part.share + some(random) * (1 - part.share);
      part.weight = 0.01 + 100 * some(random);
      most += std::max(part.max, 0.01);
    }
    const std::vector<double> split = split_by_shares(parts);
    for (std::size_t i = 0; i < parts.size(); ++i) {
      EXPECT_GE(split[i], parts[i].share);
      EXPECT_LE(split[i], std::max(parts[i].max, 0.01));
    }
    EXPECT_NEAR(std::accumulate(split.begin(), split.end(), 0.0), std::min(most, 1.0), 0.08) << round;
  }
}

}  // namespace
}  // namespace autoglm::engine
