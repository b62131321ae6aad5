#include "engine/recent_prefixes.h"

#include <gtest/gtest.h>

#include <numeric>
#include <vector>

namespace autoglm::engine {
namespace {

TEST(RecentPrefixes, KeepsTheLatestAndTellsThemNowAndThen) {
  RecentPrefixes recent;
  MonotonicTime now{Duration(std::chrono::hours(1))};
  recent.publish(false, now);
  EXPECT_EQ(recent.snapshot(), nullptr) << "nothing to tell";
  recent.add(std::vector<std::uint64_t>{1, 2});
  recent.publish(false, now);
  EXPECT_EQ(*recent.snapshot(), (PrefixSet{1, 2}));
  recent.add(std::vector<std::uint64_t>{3});
  recent.publish(false, now);
  EXPECT_FALSE(recent.snapshot()->contains(3)) << "not yet due";
  recent.publish(true, now);
  EXPECT_TRUE(recent.snapshot()->contains(3));
  std::vector<std::uint64_t> many(RecentPrefixes::kKept - 1);
  std::iota(many.begin(), many.end(), 1000);
  recent.add(many);
  recent.add(std::vector<std::uint64_t>{3});  // used again
  recent.add(std::vector<std::uint64_t>{4});
  now += RecentPrefixes::kEvery;
  recent.publish(false, now);
  EXPECT_EQ(recent.snapshot()->size(), RecentPrefixes::kKept);
  EXPECT_TRUE(recent.snapshot()->contains(3) && recent.snapshot()->contains(4));
  EXPECT_FALSE(recent.snapshot()->contains(1) || recent.snapshot()->contains(1000));
}

}  // namespace
}  // namespace autoglm::engine
