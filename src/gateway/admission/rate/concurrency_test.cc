#include "gateway/admission/rate/concurrency.h"

#include "base/random.h"

#include <gtest/gtest.h>

#include <limits>
#include <map>
#include <thread>
#include <vector>

namespace autoglm::gateway {
namespace {

TEST(ConcurrencyTable, EachSubjectHoldsUpToTheMost) {
  ConcurrencyTable table(10);
  auto six = table.acquire("a", 6);
  EXPECT_EQ(six.verdict, Verdict::kAdmitted);
  EXPECT_EQ(six.limit, 10U);
  EXPECT_EQ(six.remaining, 4U);
  const auto refused = table.acquire("a", 5);
  EXPECT_EQ(refused.verdict, Verdict::kLater);
  EXPECT_EQ(refused.remaining, 4U);
  EXPECT_EQ(refused.held.amount(), 0U);
  EXPECT_EQ(table.acquire("b", 10).verdict, Verdict::kAdmitted);
  const auto four = table.acquire("a", 4);
  EXPECT_EQ(four.verdict, Verdict::kAdmitted);
  EXPECT_EQ(table.held("a"), 10U);
}

TEST(ConcurrencyTable, WhatCouldNeverFitIsNeverAdmitted) {
  ConcurrencyTable table(10);
  EXPECT_EQ(table.acquire("a", 11).verdict, Verdict::kNever);
  EXPECT_EQ(table.acquire("a", std::numeric_limits<std::uint64_t>::max()).verdict, Verdict::kNever);
  const auto all = table.acquire("a", 10);
  EXPECT_EQ(table.acquire("a", std::numeric_limits<std::uint64_t>::max()).verdict, Verdict::kNever);
  EXPECT_EQ(table.acquire("a", 0).verdict, Verdict::kAdmitted) << "nothing always fits";
}

TEST(ConcurrencyTable, ASubjectThatHoldsNothingTakesNoMemory) {
  ConcurrencyTable table(10);
  {
    const auto one = table.acquire("a", 1);
    const auto none = table.acquire("b", 0);
    EXPECT_EQ(table.size(), 1U);
  }
  EXPECT_EQ(table.size(), 0U);
}

TEST(ConcurrencyTable, AHoldingMovesAndShrinks) {
  ConcurrencyTable table(10);
  auto held = table.acquire("a", 8).held;
  held.shrink(9);
  EXPECT_EQ(table.held("a"), 8U);
  held.shrink(3);
  EXPECT_EQ(table.held("a"), 3U);
  auto moved = std::move(held);
  EXPECT_EQ(table.held("a"), 3U);
  moved = table.acquire("b", 2).held;
  EXPECT_EQ(table.held("a"), 0U);
  EXPECT_EQ(table.held("b"), 2U);
  moved.shrink(0);
  EXPECT_EQ(table.size(), 0U);
}

TEST(ConcurrencyTable, TheMostMayChangeWhileThingsAreHeld) {
  ConcurrencyTable table(10);
  auto held = table.acquire("a", 8).held;
  table.set_most(5);
  EXPECT_EQ(table.acquire("a", 1).verdict, Verdict::kLater);
  EXPECT_EQ(table.acquire("a", 1).remaining, 0U);
  EXPECT_EQ(table.acquire("a", 6).verdict, Verdict::kNever);
  held.shrink(4);
  EXPECT_EQ(table.acquire("a", 1).verdict, Verdict::kAdmitted);
  table.set_most(20);
  EXPECT_EQ(table.acquire("a", 16).verdict, Verdict::kAdmitted);
  std::map<std::string, std::uint64_t> seen;
  table.for_each_held([&](const std::string& subject, std::uint64_t amount) { seen[subject] = amount; });
  EXPECT_EQ(seen, (std::map<std::string, std::uint64_t>{{"a", 4U}}));
}

TEST(ConcurrencyTable, ThreadsTogetherNeverHoldMore) {
  ConcurrencyTable table(100);
  std::atomic<std::int64_t> held{0};
  std::atomic<bool> more{false};
  {
    std::vector<std::jthread> threads;
    for (std::uint64_t thread = 0; thread < 8; ++thread) {
      threads.emplace_back([&, thread] {
        Random random(thread);
        std::vector<ConcurrencyTable::Held> mine;
        for (int turn = 0; turn < 5000; ++turn) {
          auto answer = table.acquire("one", 1 + random.below(30));
          if (answer.verdict == Verdict::kAdmitted) {
            held += static_cast<std::int64_t>(answer.held.amount());
            if (held > 100) more = true;
            mine.push_back(std::move(answer.held));
          }
          if (!mine.empty() && random.below(2) == 0) {
            held -= static_cast<std::int64_t>(mine.back().amount());
            mine.pop_back();
          }
        }
        for (const auto& left : mine) held -= static_cast<std::int64_t>(left.amount());
      });
    }
  }
  EXPECT_FALSE(more);
  EXPECT_EQ(held, 0);
  EXPECT_EQ(table.size(), 0U);
}

}  // namespace
}  // namespace autoglm::gateway
