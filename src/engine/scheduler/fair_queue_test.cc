#include "engine/scheduler/fair_queue.h"

#include "base/random.h"

#include <gtest/gtest.h>

#include <map>

namespace autoglm::engine {
namespace {

using namespace std::chrono_literals;

constexpr MonotonicTime kStart{};

class FairQueueTest : public ::testing::Test {
 protected:
  void push(std::uint64_t key, std::uint8_t priority = 0, std::uint64_t tenant = 0, std::uint32_t cost = 100,
            Duration due = 30s) {
    queue_.push({.key = SequenceKey{key},
                 .priority = priority,
                 .tenant = tenant,
                 .cost = cost,
                 .order = key,
                 .arrived = now_,
                 .due = now_ + due});
  }
  std::uint64_t take() {
    const QueueEntry* entry = queue_.next(now_, [this](const QueueEntry& e) { return e.key != blocked_; });
    if (entry == nullptr) return 0;
    const SequenceKey key = entry->key;
    queue_.take(key);
    return key.value;
  }

  FairQueue queue_;
  MonotonicTime now_ = kStart;
  SequenceKey blocked_{0};
};

TEST_F(FairQueueTest, ServesOneTenantInTheOrderOfArrival) {
  push(1);
  push(2);
  push(3);
  EXPECT_EQ(take(), 1U);
  EXPECT_EQ(take(), 2U);
  EXPECT_EQ(take(), 3U);
  EXPECT_EQ(take(), 0U);
}

TEST_F(FairQueueTest, PrefersTheHigherPriority) {
  push(1, 0);
  push(2, 9);
  push(3, 5);
  EXPECT_EQ(take(), 2U);
  EXPECT_EQ(take(), 3U);
  EXPECT_EQ(take(), 1U);
}

TEST_F(FairQueueTest, PrefersWhoIsDueFirst) {
  push(1, 0, 0, 100, 20s);
  push(2, 0, 0, 100, 1s);
  EXPECT_EQ(take(), 2U);
}

TEST_F(FairQueueTest, WaitingRaisesThePriority) {
  push(1, 0);
  now_ += 41s;
  push(2, 3);
  push(3, 5);
  EXPECT_EQ(take(), 3U);
  EXPECT_EQ(take(), 1U);
  EXPECT_EQ(take(), 2U);
}

TEST_F(FairQueueTest, PassesOverWhoIsNotReady) {
  push(1);
  push(2);
  blocked_ = SequenceKey{1};
  EXPECT_EQ(take(), 2U);
  EXPECT_EQ(take(), 0U);
  EXPECT_EQ(queue_.size(), 1U);
}

TEST_F(FairQueueTest, AskingTwiceGivesTheSame) {
  for (std::uint64_t i = 1; i <= 20; ++i) push(i, 0, i % 3, 700);
  while (!queue_.empty()) {
    const auto all = [](const QueueEntry&) { return true; };
    const SequenceKey once = queue_.next(now_, all)->key;
    ASSERT_EQ(queue_.next(now_, all)->key, once);
    queue_.take(once);
  }
}

TEST_F(FairQueueTest, TenantsShareTokensNotRequests) {
  // One tenant sends few long prompts, one many short ones, one a flood.
  std::uint64_t key = 0;
  std::map<std::uint64_t, std::uint64_t> served;
  std::map<std::uint64_t, std::pair<std::uint64_t, std::uint32_t>> what;
  const auto send = [&](std::uint64_t tenant, std::uint32_t cost) {
    push(++key, 0, tenant, cost);
    what[key] = {tenant, cost};
  };
  for (int i = 0; i < 4000; ++i) send(3, 300);
  for (int i = 0; i < 100; ++i) send(1, 4000);
  for (int i = 0; i < 4000; ++i) send(2, 50);
  std::uint64_t total = 0;
  while (total < 300'000) {
    const auto [tenant, cost] = what.at(take());
    served[tenant] += cost;
    total += cost;
  }
  for (const auto& [tenant, tokens] : served)
    EXPECT_NEAR(static_cast<double>(tokens), 100'000, 8'000) << tenant;
}

TEST_F(FairQueueTest, AbsenceEarnsNothing) {
  push(1, 0, 1, 100);
  push(2, 0, 2, 100);
  take();
  take();
  for (std::uint64_t i = 10; i < 20; ++i) push(i, 0, 1, 512);
  for (std::uint64_t i = 20; i < 30; ++i) push(i, 0, 2, 512);
  int first = 0;
  for (int i = 0; i < 10; ++i) first += take() < 20 ? 1 : 0;
  EXPECT_EQ(first, 5);
}

TEST_F(FairQueueTest, ATenantWithOneRequestAtATimeTakesTurnsWithAFlood) {
  for (std::uint64_t i = 100; i < 300; ++i) push(i, 0, 1, 10);
  push(1, 0, 2, 10);
  int modest = 0;
  for (int i = 0; i < 40; ++i) {
    if (take() >= 100) continue;
    push(static_cast<std::uint64_t>(++modest) + 1, 0, 2, 10);
  }
  EXPECT_NEAR(modest, 20, 1);
}

TEST_F(FairQueueTest, WhatARequestNeededBeyondItsCostIsChargedLater) {
  for (std::uint64_t i = 1; i <= 20; ++i) {
    push(i, 0, 1, 10);
    push(100 + i, 0, 2, 10);
  }
  int first = 0;
  for (int i = 0; i < 16; ++i) {
    if (take() > 100) continue;
    ++first;
    queue_.settle(0, 1, 0, 20);
  }
  EXPECT_EQ(first, 4) << "three times as much each";
  queue_.settle(0, 7, 0, 20);
}

TEST_F(FairQueueTest, AChargeThatIsForgottenIsNotSettled) {
  push(1, 0, 1, 1000);
  const std::uint64_t era = queue_.take(SequenceKey{1});
  for (std::uint64_t i = 10; i < 20; ++i) push(i, 0, 1, 100);
  for (std::uint64_t i = 20; i < 30; ++i) push(i, 0, 2, 100);
  queue_.settle(0, 1, era, -990);
  queue_.settle(0, 1, era, 100'000);
  int first = 0;
  for (int i = 0; i < 10; ++i) first += take() < 20 ? 1 : 0;
  EXPECT_EQ(first, 5);
}

TEST_F(FairQueueTest, WhatIsGivenBackIsNoCreditAgainstOthers) {
  for (std::uint64_t i = 10; i < 30; ++i) push(i, 0, 1, 100);
  for (std::uint64_t i = 50; i < 70; ++i) push(i, 0, 2, 100);
  for (int i = 0; i < 10; ++i) take();
  queue_.settle(0, 1, 0, -100'000);
  int first = 0;
  for (int i = 0; i < 10; ++i) first += take() < 50 ? 1 : 0;
  EXPECT_NEAR(first, 5, 1);
}

TEST_F(FairQueueTest, TenantsThatAreAheadAndAwayAreRememberedInABoundedNumber) {
  push(1, 0, 1, 100'000);
  push(2, 0, 2, 1);
  push(3, 0, 2, 1);
  take();
  take();
  push(4, 0, 1, 1);
  EXPECT_EQ(take(), 3U) << "the first tenant has had its part";
  push(5, 0, 2, 1);
  for (std::uint64_t tenant = 10; tenant < 10'000; ++tenant) {
    push(tenant, 0, tenant, 1'000'000);
    queue_.take(SequenceKey{tenant});
  }
  EXPECT_LE(queue_.tenants(), FairQueue::kMostIdle + 2);
}

}  // namespace
}  // namespace autoglm::engine
