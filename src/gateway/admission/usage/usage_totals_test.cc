#include "gateway/admission/usage/usage_totals.h"

#include <gtest/gtest.h>

#include <thread>

namespace autoglm::gateway {
namespace {

using namespace std::chrono;

constexpr Day kToday = 2026y / November / 30;

UsageRecord record(const std::string& key, const std::string& tenant, const std::string& model,
                   Day day = kToday) {
  return {.time = day + 12h,
          .key = key,
          .tenant = tenant,
          .model = model,
          .prompt_tokens = 100,
          .cached_tokens = 20,
          .completion_tokens = 30,
          .cost = 7,
          .outcome = UsageOutcome::kComplete};
}

UsageSums sums(std::uint64_t calls, std::uint64_t cut = 0) {
  return {.requests = calls,
          .cut = cut,
          .prompt_tokens = 100 * calls,
          .cached_tokens = 20 * calls,
          .completion_tokens = 30 * calls,
          .cost = 7 * calls};
}

TEST(UsageTotals, AreGroupedByAnyNames) {
  UsageTotals totals;
  totals.add(record("a", "x", "m"));
  totals.add(record("a", "x", "n"));
  totals.add(record("b", "x", "m", kToday - days(1)));
  UsageRecord cut = record("c", "y", "m");
  cut.outcome = UsageOutcome::kCut;
  totals.add(cut);

  EXPECT_EQ(totals.query({}), (std::vector<UsageRow>{{.sums = sums(4, 1)}}));
  EXPECT_EQ(totals.query({.by_tenant = true}),
            (std::vector<UsageRow>{{.tenant = "x", .sums = sums(3)}, {.tenant = "y", .sums = sums(1, 1)}}));
  EXPECT_EQ(totals.query({.by_day = true, .by_model = true}),
            (std::vector<UsageRow>{{.day = kToday - days(1), .model = "m", .sums = sums(1)},
                                   {.day = kToday, .model = "m", .sums = sums(2, 1)},
                                   {.day = kToday, .model = "n", .sums = sums(1)}}));
  EXPECT_EQ(totals.query({.by_key = true, .from = kToday}).size(), 2U);
  EXPECT_EQ(totals.query({.by_key = true, .to = kToday - days(1)}),
            (std::vector<UsageRow>{{.key = "b", .sums = sums(1)}}));
  EXPECT_TRUE(totals.query({.from = kToday + days(1)}).empty());
}

TEST(UsageTotals, RowsBeyondTheBoundAreOne) {
  UsageTotals totals({.rows_per_day = 3});
  for (int i = 0; i < 10; ++i) totals.add(record("k" + std::to_string(i), "x", "m"));
  totals.add(record("k0", "x", "m"));
  totals.add(record("k9", "x", "m", kToday + days(1)));
  const auto rows = totals.query({.by_day = true, .by_key = true, .to = kToday});
  ASSERT_EQ(rows.size(), 3U);
  EXPECT_EQ(rows[0], (UsageRow{.day = kToday, .key = "(others)", .sums = sums(8)}));
  EXPECT_EQ(rows[1], (UsageRow{.day = kToday, .key = "k0", .sums = sums(2)}));
  EXPECT_EQ(totals.query({.by_key = true, .from = kToday + days(1)}).at(0).key, "k9");
  EXPECT_EQ(totals.spent_by_key("k9", kToday, kToday).tokens, 130U) << "budgets know every key";
}

TEST(UsageTotals, TheOldestDaysGo) {
  UsageTotals totals({.days = 3});
  for (int day = 50; day >= 0; --day) totals.add(record("a", "x", "m", kToday - days(day)));
  totals.add(record("a", "x", "m", kToday - days(40)));
  const auto rows = totals.query({.by_day = true});
  ASSERT_EQ(rows.size(), 3U);
  EXPECT_EQ(rows[0].day, kToday - days(2));
  EXPECT_EQ(totals.spent_by_tenant("x", kToday - days(60), kToday).tokens, 40 * 130U);
}

TEST(UsageTotals, KnowWhatAKeyAndATenantHaveSpent) {
  UsageTotals totals;
  totals.add(record("a", "x", "m"));
  totals.add(record("b", "x", "m", kToday - days(1)));
  totals.add(record("", "", "m"));
  EXPECT_EQ(totals.spent_by_key("a", kToday, kToday).tokens, 130U);
  EXPECT_EQ(totals.spent_by_key("a", kToday, kToday).cost, 7U);
  EXPECT_EQ(totals.spent_by_key("b", kToday, kToday).tokens, 0U);
  EXPECT_EQ(totals.spent_by_tenant("x", month_of(kToday), kToday).tokens, 260U);
  EXPECT_EQ(totals.spent_by_tenant("x", kToday + days(1), kToday + days(9)).tokens, 0U);
  EXPECT_EQ(totals.spent_by_key("", kToday, kToday).tokens, 0U);
}

TEST(UsageTotals, NamesThatAreNotSeenAnyMoreGo) {
  UsageTotals totals({.days = 3, .rows_per_day = 2});
  for (const char* tenant : {"x", "y", "z"}) totals.add(record("a", tenant, "m"));
  totals.add(record("a", "z", "m", kToday + days(40)));
  EXPECT_EQ(totals.spent_by_tenant("x", kToday, kToday).tokens, 130U) << "40 days are kept";
  totals.add(record("a", "z", "m", kToday + days(41)));
  EXPECT_EQ(totals.spent_by_tenant("x", kToday, kToday).tokens, 0U);
  EXPECT_EQ(totals.spent_by_tenant("z", kToday, kToday).tokens, 130U);
}

TEST(UsageTotals, CallersWithTokensAreNoKeysWithBudgets) {
  UsageTotals totals;
  totals.add(record("jwt:alice", "x", "m"));
  EXPECT_EQ(totals.spent_by_key("jwt:alice", kToday, kToday).tokens, 0U);
  EXPECT_EQ(totals.spent_by_tenant("x", kToday, kToday).tokens, 130U);
  EXPECT_EQ(totals.query({.by_key = true}).at(0).key, "jwt:alice");
}

TEST(UsageTotals, ThreadsAddEachCallOnce) {
  UsageTotals totals;
  {
    std::vector<std::jthread> threads;
    for (int thread = 0; thread < 4; ++thread) {
      threads.emplace_back([&totals, thread] {
        for (int i = 0; i < 1000; ++i)
          totals.add(record("k" + std::to_string(i % 7), "x", std::to_string(thread), kToday - days(i % 3)));
      });
    }
    while (totals.query({}).empty() || totals.query({})[0].sums.requests < 4000) std::this_thread::yield();
  }
  EXPECT_EQ(totals.query({}), (std::vector<UsageRow>{{.sums = sums(4000)}}));
}

}  // namespace
}  // namespace autoglm::gateway
