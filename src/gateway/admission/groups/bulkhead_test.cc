#include "gateway/admission/groups/bulkhead.h"

#include "base/random.h"
#include "base/testing/manual_clock.h"
#include "runtime/scope.h"
#include "runtime/testing/for_turns.h"
#include "runtime/testing/run_task.h"
#include "runtime/worker_pool.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <atomic>
#include <list>
#include <thread>

namespace autoglm::gateway {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

BulkheadConfig group(std::uint32_t concurrent, std::uint32_t size = 100, Duration timeout = 1h) {
  return {.name = "chat", .concurrent = concurrent, .queue = {.size = size, .timeout = timeout}};
}

/// A request that stays until it is destroyed.
struct Customer {
  explicit Customer(Bulkhead& bulkhead, std::uint8_t priority = 0, std::string tenant = "t",
                    Deadline deadline = Deadline::never()) {
    scope.spawn(come(bulkhead, std::move(tenant), priority, deadline));
  }
  Task<void> come(Bulkhead& bulkhead, std::string tenant, std::uint8_t priority, Deadline deadline) {
    outcome = co_await bulkhead.enter(std::move(tenant), priority, 1, deadline);
  }
  bool waits() const { return !outcome; }
  bool has_place() const { return outcome && outcome->has_value(); }
  std::string reason() const { return outcome && !*outcome ? outcome->error().reason : ""; }

  std::optional<Result<Bulkhead::Place>> outcome;
  Scope scope;
};

class BulkheadTest : public ::testing::Test {
 protected:
  /// Runs `body` on a loop.
  void on_loop(const std::function<Task<void>()>& body) { run_task(loop_, body()); }
  Customer& come(Bulkhead& bulkhead, std::uint8_t priority = 0, Deadline deadline = Deadline::never()) {
    return customers_.emplace_back(bulkhead, priority, "t", deadline);
  }
  void leave(Customer& customer) {
    customers_.remove_if([&](const Customer& each) { return &each == &customer; });
  }
  void all_leave() { customers_.clear(); }

  EventLoop loop_;
  ManualClock clock_;
  std::list<Customer> customers_;
};

TEST_F(BulkheadTest, AdmitsUpToTheLimitAndThenInTurn) {
  Bulkhead bulkhead(kGroupBulkhead, group(2), clock_);
  on_loop([&]() -> Task<void> {
    Customer &a = come(bulkhead), &b = come(bulkhead), &c = come(bulkhead), &d = come(bulkhead, 5);
    co_await turns(3);
    EXPECT_TRUE(a.has_place() && b.has_place() && c.waits() && d.waits());
    EXPECT_EQ(bulkhead.running(), 2U);
    EXPECT_EQ(bulkhead.waiting(), 2U);
    clock_.advance(3s);
    leave(a);
    co_await turns(3);
    EXPECT_TRUE(d.has_place() && c.waits()) << "the more important one goes first";
    EXPECT_EQ((*d.outcome)->waited(), 3s);
    leave(b);
    co_await turns(3);
    EXPECT_TRUE(c.has_place());
    all_leave();
    EXPECT_EQ(bulkhead.running(), 0U);
  });
}

TEST_F(BulkheadTest, RefusesWhenItsQueueIsFullAndShedsForAMoreImportantOne) {
  Bulkhead bulkhead(kGroupBulkhead, group(1, 1), clock_);
  on_loop([&]() -> Task<void> {
    come(bulkhead);
    Customer &waits = come(bulkhead), &refused = come(bulkhead);
    EXPECT_EQ(refused.reason(), "group_full") << "at once";
    const Error& error = refused.outcome->error();
    EXPECT_EQ(error.code, ErrorCode::kResourceExhausted);
    EXPECT_EQ(error.origin, Origin::kLocal);
    EXPECT_EQ(error.retry, Retry::kLater);
    EXPECT_EQ(error.retry_after, 1s);
    EXPECT_THAT(error.message, HasSubstr("\"chat\""));
    EXPECT_THAT(error.message, HasSubstr("1 requests at a time"));
    EXPECT_THAT(error.message, HasSubstr("try again later"));
    Customer& important = come(bulkhead, 9);
    co_await turns(3);
    EXPECT_EQ(waits.reason(), "group_full");
    EXPECT_TRUE(important.waits());
    EXPECT_EQ(bulkhead.waiting(), 1U);
    all_leave();
    EXPECT_EQ(bulkhead.running() + bulkhead.waiting(), 0U);
  });
}

TEST_F(BulkheadTest, RefusesWhatIsNotAdmittedInTime) {
  Bulkhead bulkhead(kGroupBulkhead, group(1, 10, 1ms), clock_);
  on_loop([&]() -> Task<void> {
    come(bulkhead);
    auto late = co_await bulkhead.enter("t", 0, 1, Deadline::never());
    EXPECT_EQ(late.error().reason, "group_timeout");
    EXPECT_EQ(late.error().code, ErrorCode::kResourceExhausted);
    EXPECT_THAT(late.error().message, HasSubstr("1ms"));
    bulkhead.change(group(1, 10, 1h));
    late = co_await bulkhead.enter("t", 0, 1, Deadline::after(1ms));
    EXPECT_EQ(late.error().reason, "group_timeout") << "its own deadline counts, too";
    EXPECT_EQ(bulkhead.waiting(), 0U);
    all_leave();
    EXPECT_EQ(bulkhead.running(), 0U);
  });
}

TEST_F(BulkheadTest, AWaiterThatIsDestroyedLeavesAndPassesOnThePlaceItWasGiven) {
  Bulkhead bulkhead(kGroupBulkhead, group(1), clock_);
  on_loop([&]() -> Task<void> {
    Customer &holder = come(bulkhead), &gone = come(bulkhead), &given = come(bulkhead),
             &last = come(bulkhead);
    leave(gone);
    EXPECT_EQ(bulkhead.waiting(), 2U);
    leave(holder);
    EXPECT_EQ(bulkhead.running(), 1U) << "the place is on its way";
    EXPECT_EQ(bulkhead.waiting(), 1U);
    EXPECT_TRUE(given.waits()) << "and its waiter does not know of it";
    leave(given);
    co_await turns(3);
    EXPECT_TRUE(last.has_place());
    EXPECT_EQ(bulkhead.running(), 1U);
    all_leave();
    EXPECT_EQ(bulkhead.running() + bulkhead.waiting(), 0U);
  });
}

TEST_F(BulkheadTest, ATaskThatIsDestroyedAtAnyPointKeepsNothing) {
  Bulkhead bulkhead(kGroupBulkhead, group(1), clock_);
  on_loop([&]() -> Task<void> {
    for (unsigned count = 0; count < 8; ++count) {
      Customer& holder = come(bulkhead);
      auto place = for_turns(count, bulkhead.enter("t", 0, 1, Deadline::never()));
      Scope scope;
      scope.spawn([](Task<std::optional<Result<Bulkhead::Place>>> task) -> Task<void> {
        co_await std::move(task);
      }(std::move(place)));
      leave(holder);
      co_await scope.join();
      EXPECT_EQ(bulkhead.running() + bulkhead.waiting(), 0U) << count;
    }
  });
}

TEST_F(BulkheadTest, ALiveChangeHoldsForTheOnesThatWait) {
  Bulkhead bulkhead(kGroupBulkhead, group(1), clock_);
  on_loop([&]() -> Task<void> {
    Customer &a = come(bulkhead), &b = come(bulkhead), &c = come(bulkhead), &d = come(bulkhead, 4),
             &e = come(bulkhead);
    bulkhead.change(group(3));
    co_await turns(3);
    EXPECT_TRUE(b.has_place() && d.has_place() && c.waits());
    bulkhead.change(group(1));
    EXPECT_EQ(bulkhead.running(), 3U) << "those under way go on";
    leave(a);
    leave(b);
    co_await turns(3);
    EXPECT_TRUE(c.waits() && e.waits());
    bulkhead.change(group(1, 1));
    co_await turns(3);
    EXPECT_EQ(e.reason(), "group_full") << "the youngest is shed";
    EXPECT_TRUE(c.waits());
    bulkhead.change(group(1, 1, 1ms));
    while (c.waits()) co_await yield_to_loop();
    EXPECT_EQ(c.reason(), "group_timeout") << "it had an hour before";
    all_leave();
    EXPECT_EQ(bulkhead.running() + bulkhead.waiting(), 0U);
  });
}

TEST_F(BulkheadTest, MorePlacesAdmitBeforeAShorterQueueSheds) {
  Bulkhead bulkhead(kGroupBulkhead, group(1), clock_);
  on_loop([&]() -> Task<void> {
    come(bulkhead);
    Customer &a = come(bulkhead), &b = come(bulkhead);
    bulkhead.change(group(3, 0));
    co_await turns(3);
    EXPECT_TRUE(a.has_place() && b.has_place());
    all_leave();
  });
}

TEST_F(BulkheadTest, ALiftedGroupAdmitsAll) {
  Bulkhead bulkhead(kGroupBulkhead, group(1), clock_);
  on_loop([&]() -> Task<void> {
    come(bulkhead);
    Customer& waits = come(bulkhead);
    bulkhead.lift();
    Customer& comes = come(bulkhead);
    co_await turns(3);
    EXPECT_TRUE(waits.has_place() && comes.has_place());
    bulkhead.change(group(3));
    EXPECT_TRUE(come(bulkhead).waits()) << "the places that are held count again";
    all_leave();
    EXPECT_EQ(bulkhead.running(), 0U);
  });
}

TEST_F(BulkheadTest, RefusesAtOnceWhatCannotBeInTimeOnceTheEstimateIsSolid) {
  Bulkhead bulkhead(kGroupBulkhead, group(1), clock_);
  on_loop([&]() -> Task<void> {
    const auto soon = [&] { return Deadline(clock_.now() + 25s); };
    for (std::uint32_t i = 0; i < DepartureRate::kSolid; ++i) {
      Customer& holder = come(bulkhead);
      if (i + 1 == DepartureRate::kSolid) EXPECT_TRUE(come(bulkhead, 0, Deadline(clock_.now() + 1s)).waits());
      clock_.advance(10s);
      leave(holder);
    }
    all_leave();
    come(bulkhead);
    Customer& first = come(bulkhead, 0, soon());
    Customer& second = come(bulkhead, 0, soon());
    EXPECT_TRUE(first.waits() && second.waits());
    const auto third = co_await bulkhead.enter("t", 0, 1, soon());
    EXPECT_EQ(third.error().reason, "deadline_too_near") << "its turn comes in 30 s";
    EXPECT_EQ(third.error().retry_after, 30s) << "when those that wait have left";
    EXPECT_EQ(bulkhead.waiting(), 2U);
    EXPECT_TRUE(come(bulkhead, 9, soon()).waits()) << "its turn is the next";
    bulkhead.change(group(2));
    EXPECT_TRUE(come(bulkhead, 0, soon()).waits()) << "nothing is known of two places";
    all_leave();
    co_return;
  });
}

/// Requests on several loops that come, stay for some turns and leave, or are destroyed at any moment.
class Crowd {
 public:
  static constexpr int kRounds = 500;
  static constexpr int kAtOnce = 12;

  explicit Crowd(Bulkhead& bulkhead) : bulkhead_(bulkhead) {}

  Task<void> one(std::uint64_t seed) {
    Random random(seed);
    for (int round = 0; round < kRounds; ++round) {
      const auto patience = static_cast<unsigned>(random.below(40));
      auto come = bulkhead_.enter(random.below(2) == 0 ? "a" : "b",
                                  static_cast<std::uint8_t>(random.below(10)), 1 + random.below(500),
                                  random.below(8) == 0 ? Deadline::after(1ms) : Deadline::never());
      auto outcome = co_await for_turns(patience, std::move(come));
      if (!outcome || !*outcome) continue;
      ++admitted;
      const int now = ++inside_;
      if (now > most.load()) over = true;
      co_await turns(static_cast<unsigned>(random.below(6)));
      --inside_;
    }
  }

  std::atomic<int> most{3};
  std::atomic<int> admitted{0};
  std::atomic<bool> over{false};

 private:
  Bulkhead& bulkhead_;
  std::atomic<int> inside_{0};
};

TEST(Bulkhead, OnSeveralLoopsNeverHoldsMoreThanItsLimitAndLosesNoPlace) {
  LoopClock clock;
  Bulkhead bulkhead(kGroupBulkhead, group(3, 20), clock);
  Crowd crowd(bulkhead);
  std::atomic<int> left{4 * Crowd::kAtOnce};
  WorkerPool workers(4);
  workers.start();
  std::vector<std::unique_ptr<Scope>> scopes(4);
  const auto run = [&](std::uint64_t seed) -> Task<void> {
    co_await crowd.one(seed);
    --left;
  };
  workers.on_each([&](EventLoop& loop) {
    auto& scope = *(scopes[loop.index()] = std::make_unique<Scope>());
    for (std::uint64_t i = 0; i < Crowd::kAtOnce; ++i) scope.spawn(run(loop.index() * 100 + i));
  });
  Random random(1);
  while (left.load() > 0) {
    bulkhead.change(group(1 + static_cast<std::uint32_t>(random.below(3)),
                          10 + static_cast<std::uint32_t>(random.below(20)),
                          random.below(2) == 0 ? Duration(1h) : Duration(50ms)));
    std::this_thread::yield();
  }
  workers.on_each([&](EventLoop& loop) { scopes[loop.index()].reset(); });
  EXPECT_FALSE(crowd.over);
  EXPECT_GT(crowd.admitted.load(), 0);
  EXPECT_EQ(bulkhead.running(), 0U);
  EXPECT_EQ(bulkhead.waiting(), 0U);
  bulkhead.change(group(1));
  EventLoop loop;
  EXPECT_TRUE(run_task(loop, bulkhead.enter("t", 0, 1, Deadline::never())).has_value());
}

TEST(Bulkhead, ThreadsThatComeAndLeaveAtOnceAreEachCountedOnce) {
  LoopClock clock;
  Bulkhead bulkhead(kGroupBulkhead, group(8), clock);
  std::atomic<int> ready{0};
  std::atomic<int> refused{0};
  {
    std::vector<std::jthread> threads;
    for (int thread = 0; thread < 8; ++thread) {
      threads.emplace_back([&] {
        ++ready;
        while (ready.load() < 8) std::this_thread::yield();
        for (int round = 0; round < 20'000; ++round) {
          auto enters = bulkhead.enter("t", 0, 1, Deadline::never());
          if (!enters.start() || !enters.take()) ++refused;
        }
      });
    }
  }
  EXPECT_EQ(refused.load(), 0);
  EXPECT_EQ(bulkhead.running(), 0U);
}

TEST(Bulkhead, APlaceThatIsGivenWhileItsWaiterIsDestroyedIsNotLost) {
  LoopClock clock;
  Bulkhead bulkhead(kGroupBulkhead, group(1), clock);
  WorkerPool workers(2);
  workers.start();
  std::vector<std::unique_ptr<Customer>> waiters(64);
  std::unique_ptr<Customer> holder;
  std::atomic<int> ready{0};
  for (int round = 0; round < 50; ++round) {
    ready = 0;
    workers.on_each([&](EventLoop& loop) {
      if (loop.index() == 0) holder = std::make_unique<Customer>(bulkhead);
    });
    workers.on_each([&](EventLoop& loop) {
      if (loop.index() == 1)
        for (auto& waiter : waiters) waiter = std::make_unique<Customer>(bulkhead);
    });
    workers.on_each([&](EventLoop& loop) {
      ++ready;
      while (ready.load() < 2) std::this_thread::yield();
      if (loop.index() == 0) {
        holder.reset();
      } else {
        for (auto& waiter : waiters) waiter.reset();
      }
    });
    ASSERT_EQ(bulkhead.running(), 0U);
    ASSERT_EQ(bulkhead.waiting(), 0U);
  }
}

}  // namespace
}  // namespace autoglm::gateway
