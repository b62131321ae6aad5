#include "gateway/admission/groups/fair_line.h"

#include "base/random.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>

namespace autoglm::gateway {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kRoomy = 1000;
constexpr MonotonicTime kStart{std::chrono::hours(1)};

using Keys = std::vector<FairLine::Key>;

FairLine::Key join(FairLine& line, std::string_view tenant, std::uint8_t priority, std::uint64_t cost = 1,
                   MonotonicTime now = kStart) {
  const auto joined = line.join(tenant, priority, cost, now);
  EXPECT_TRUE(joined.key.has_value());
  return joined.key.value_or(0);
}

Keys all(FairLine& line, MonotonicTime now = kStart) {
  Keys keys;
  while (const auto key = line.next(now)) keys.push_back(*key);
  return keys;
}

TEST(FairLine, HigherPriorityFirstAndWithinATenantFirstComeFirstServed) {
  FairLine line(kRoomy, 1s);
  const auto a = join(line, "a", 1), b = join(line, "a", 5), c = join(line, "a", 1), d = join(line, "b", 9),
             e = join(line, "a", 5);
  EXPECT_EQ(line.waiting(), 5U);
  EXPECT_EQ(all(line), (Keys{d, b, e, a, c}));
  EXPECT_TRUE(line.empty());
}

TEST(FairLine, PriorityRisesWithWaiting) {
  FairLine line(kRoomy, 1s);
  const auto old = join(line, "a", 3);
  const auto fresh = join(line, "b", 5, 1, kStart + 3s);
  const auto fresher = join(line, "c", 7, 1, kStart + 3s);
  EXPECT_EQ(all(line, kStart + 3s), (Keys{fresher, old, fresh}));
}

TEST(FairLine, NoClassStarvesWhileAHigherOneAlwaysWaits) {
  FairLine line(kRoomy, 1s);
  std::set<FairLine::Key> low;
  for (int i = 0; i < 10; ++i) low.insert(join(line, "low", 0));
  int turns = 0;
  for (MonotonicTime now = kStart; !low.empty(); now += 500ms) {
    ASSERT_LT(++turns, 100);
    join(line, "high", 9, 1, now);
    low.erase(*line.next(now));
    // Requests of the low class must not take all turns when they are old.
    if (low.size() == 5) EXPECT_GE(turns, 18 + 9);
  }
}

TEST(FairLine, TenantsTakeTurnsByCost) {
  FairLine line(kRoomy, 1s);
  Keys big, small;
  for (int i = 0; i < 4; ++i) big.push_back(join(line, "big", 0, 300));
  for (int i = 0; i < 6; ++i) small.push_back(join(line, "small", 0, 100));
  EXPECT_EQ(all(line), (Keys{big[0], small[0], small[1], small[2], big[1], small[3], small[4], small[5],
                             big[2], big[3]}));
}

TEST(FairLine, ATenantThatComesAnewIsNeitherOwedNorCharged) {
  FairLine line(kRoomy, 1s);
  Keys old;
  for (int i = 0; i < 20; ++i) old.push_back(join(line, "old", 0, 100));
  for (int i = 0; i < 10; ++i) EXPECT_EQ(line.next(kStart), old[static_cast<std::size_t>(i)]);
  const auto one = join(line, "new", 0, 100), two = join(line, "new", 0, 100);
  Keys first;
  for (int i = 0; i < 4; ++i) first.push_back(*line.next(kStart));
  EXPECT_EQ(first, (Keys{one, old[10], two, old[11]}));
  // It came back within the same turn: its last request still counts.
  const auto three = join(line, "new", 0, 100);
  EXPECT_EQ(line.next(kStart), three);
  const auto four = join(line, "new", 0, 100);
  EXPECT_EQ(line.next(kStart), old[12]);
  EXPECT_EQ(line.next(kStart), four);
}

/// Serves `capacity` tokens a second to two tenants of which one sends 20 times as much as the other, whose
/// requests alone are more than its half. Returns Jain's index of the served cost.
double fairness(std::size_t size, std::uint64_t seed) {
  FairLine line(size, 500ms);
  Random random(seed);
  std::map<FairLine::Key, std::pair<std::size_t, std::uint64_t>> waiting;
  std::array<double, 2> served{};
  MonotonicTime now = kStart;
  for (int turn = 0; turn < 5000; ++turn, now += 10ms) {
    for (int i = 0; i < 21; ++i) {
      const std::size_t tenant = random.below(21) == 0 ? 1 : 0;
      const std::uint64_t cost = 1 + random.below(1000);
      const auto joined = line.join(tenant == 0 ? "greedy" : "modest", 3, cost, now);
      if (joined.displaced) waiting.erase(*joined.displaced);
      if (joined.key) waiting.emplace(*joined.key, std::pair(tenant, cost));
    }
    const auto key = line.next(now);
    const auto [tenant, cost] = waiting.at(*key);
    served[tenant] += static_cast<double>(cost);
    waiting.erase(*key);
  }
  EXPECT_EQ(line.waiting(), waiting.size());
  const double sum = served[0] + served[1];
  return sum * sum / (2 * (served[0] * served[0] + served[1] * served[1]));
}

TEST(FairLine, ATenantThatSendsTwentyTimesAsMuchGetsNoMore) {
  for (std::uint64_t seed = 1; seed <= 3; ++seed) {
    EXPECT_GE(fairness(1'000'000, seed), 0.95) << "a line that is never full";
    EXPECT_GE(fairness(20, seed), 0.95) << "a line that is always full";
  }
}

TEST(FairLine, AFullLineShedsTheLeastImportantYoungest) {
  FairLine line(3, 1s);
  const auto middle = join(line, "a", 5), low = join(line, "a", 1), youngest = join(line, "b", 1);
  const auto refused = line.join("c", 0, 1, kStart);
  EXPECT_FALSE(refused.key);
  EXPECT_FALSE(refused.displaced);
  EXPECT_FALSE(line.join("c", 1, 1, kStart).key) << "no tenant has more than its share";
  const auto high = line.join("c", 9, 1, kStart);
  EXPECT_EQ(high.displaced, youngest);
  EXPECT_FALSE(line.leave(youngest));
  const auto higher = line.join("c", 9, 1, kStart);
  EXPECT_EQ(higher.displaced, low);
  const auto last = line.join("c", 9, 1, kStart);
  EXPECT_EQ(last.displaced, middle);
  EXPECT_FALSE(line.join("c", 9, 1, kStart).key);
  EXPECT_EQ(all(line), (Keys{*high.key, *higher.key, *last.key}));
}

TEST(FairLine, AgeDoesNotProtectFromAHigherClass) {
  FairLine line(1, 1s);
  const auto old = join(line, "a", 0);
  EXPECT_EQ(line.join("b", 1, 1, kStart + 60s).displaced, old);
}

TEST(FairLine, InAFullLineTenantsShareTheRoom) {
  FairLine line(4, 1s);
  Keys greedy;
  for (int i = 0; i < 4; ++i) greedy.push_back(join(line, "greedy", 2));
  EXPECT_FALSE(line.join("greedy", 2, 1, kStart).key);
  EXPECT_EQ(line.join("modest", 2, 1, kStart).displaced, greedy[3]);
  EXPECT_EQ(line.join("modest", 2, 1, kStart).displaced, greedy[2]);
  EXPECT_FALSE(line.join("modest", 2, 1, kStart).key) << "both have two";
}

TEST(FairLine, AShorterLineShedsWhatIsNotNeeded) {
  FairLine line(kRoomy, 1s);
  const auto a = join(line, "a", 2), b = join(line, "a", 7), c = join(line, "a", 2), d = join(line, "b", 3);
  EXPECT_EQ(line.change(2, 1s), (Keys{c, a}));
  EXPECT_FALSE(line.join("c", 3, 1, kStart).key);
  EXPECT_TRUE(line.change(3, 1s).empty());
  const auto e = join(line, "c", 3);
  EXPECT_EQ(all(line), (Keys{b, d, e}));
  line.change(0, 1s);
  EXPECT_FALSE(line.join("c", 9, 1, kStart).key);
}

TEST(FairLine, CountsTheRequestsAhead) {
  FairLine line(kRoomy, 1s);
  EXPECT_EQ(line.ahead("a", 0), 0U);
  for (int i = 0; i < 5; ++i) join(line, "a", 4);
  join(line, "b", 9);
  EXPECT_EQ(line.ahead("a", 4), 6U);
  EXPECT_EQ(line.ahead("c", 4), 2U) << "the first of each tenant, and the higher class";
  EXPECT_EQ(line.ahead("c", 9), 1U);
  EXPECT_EQ(line.ahead("b", 200), 1U) << "no priority is above 9";
}

TEST(FairLine, KeepsItsCountsThroughRandomChanges) {
  FairLine line(30, 1s);
  Random random(7);
  std::map<FairLine::Key, unsigned> here;  // and their priorities
  const std::array tenants = {"a", "b", "c", "d", "e"};
  MonotonicTime now = kStart;
  for (int turn = 0; turn < 50'000; ++turn, now += 20ms) {
    const auto what = random.below(8);
    if (what < 4) {
      const auto priority = static_cast<std::uint8_t>(random.below(10));
      const auto joined = line.join(tenants[random.below(tenants.size())], priority, random.below(50), now);
      const auto is_lower = [&](const auto& each) { return each.second < priority; };
      if (!joined.key) EXPECT_TRUE(std::ranges::none_of(here, is_lower)) << "refused while a lower one waits";
      if (joined.displaced) {
        EXPECT_LE(here.at(*joined.displaced), priority);
        here.erase(*joined.displaced);
      }
      if (joined.key) EXPECT_TRUE(here.emplace(*joined.key, priority).second);
    } else if (what < 6) {
      const auto key = line.next(now);
      EXPECT_EQ(key.has_value(), !here.empty());
      if (key) EXPECT_EQ(here.erase(*key), 1U);
    } else if (what == 6 && !here.empty()) {
      const auto key = std::next(here.begin(), static_cast<std::ptrdiff_t>(random.below(here.size())))->first;
      EXPECT_TRUE(line.leave(key));
      EXPECT_FALSE(line.leave(key));
      here.erase(key);
    } else if (random.below(10) == 0) {
      for (const auto key : line.change(10 + random.below(40), 1s)) EXPECT_EQ(here.erase(key), 1U);
    }
    ASSERT_EQ(line.waiting(), here.size());
  }
  for (const FairLine::Key key : all(line, now)) EXPECT_EQ(here.erase(key), 1U);
  EXPECT_TRUE(here.empty());
}

}  // namespace
}  // namespace autoglm::gateway
