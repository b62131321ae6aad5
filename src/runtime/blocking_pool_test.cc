#include "runtime/blocking_pool.h"

#include "runtime/scope.h"
#include "runtime/testing/run_task.h"

#include <gtest/gtest.h>

#include <atomic>
#include <latch>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>

namespace autoglm {
namespace {

TEST(BlockingPool, ReturnsTheResultOnTheCallersLoop) {
  EventLoop loop;
  BlockingPool pool(2, 8);
  const auto caller = [&]() -> Task<bool> {
    const auto before = std::this_thread::get_id();
    const auto inside = co_await pool.run([] { return std::this_thread::get_id(); });
    co_return inside.has_value() && *inside != before&& std::this_thread::get_id() == before;
  };
  EXPECT_TRUE(run_task(loop, caller()));
}

TEST(BlockingPool, RefusesWhenItsQueueIsFull) {
  EventLoop loop;
  std::latch started(1);
  std::latch release(1);
  BlockingPool pool(1, 1);
  ASSERT_TRUE(pool.submit([&] {
    started.count_down();
    release.wait();
  }));
  started.wait();                   // the only thread is busy
  ASSERT_TRUE(pool.submit([] {}));  // the queue's one place is taken
  const auto refused = run_task(loop, pool.run([] { return 1; }));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kResourceExhausted);
  EXPECT_TRUE(refused.error().retry_after.has_value());
  release.count_down();
}

TEST(BlockingPool, WhatAJobThrowsIsAnError) {
  EventLoop loop;
  BlockingPool pool(1, 8);
  const auto thrown = run_task(loop, pool.run([]() -> int { throw std::runtime_error("too long"); }));
  ASSERT_FALSE(thrown);
  EXPECT_EQ(thrown.error().code, ErrorCode::kInternal);
  EXPECT_NE(thrown.error().message.find("too long"), std::string::npos);
  EXPECT_EQ(run_task(loop, pool.run([] { return 1; })).value(), 1) << "its thread goes on";
}

TEST(BlockingPool, AJobWithoutMemoryIsAskedForLater) {
  EventLoop loop;
  BlockingPool pool(1, 8);
  const auto result = run_task(loop, pool.run([]() -> int { throw std::bad_alloc(); }));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::kUnavailable);
  EXPECT_TRUE(result.error().retry_after.has_value());
}

TEST(BlockingPool, AnAbandonedJobHarmsNobody) {
  EventLoop loop;
  std::latch release(1);
  BlockingPool pool(1, 8);
  run_task(loop, [&]() -> Task<void> {
    Scope scope;
    scope.spawn([](BlockingPool& on, std::latch& wait_for) -> Task<void> {
      co_await on.run([&] {
        wait_for.wait();
        return 1;
      });
      ADD_FAILURE() << "the caller was cancelled and must not be resumed";
    }(pool, release));
    scope.cancel();
    release.count_down();
    // A second job behind the abandoned one shows that its result has been dropped by now.
    EXPECT_EQ((co_await pool.run([] { return 2; })).value(), 2);
  }());
}

/// Occupies the only thread of a pool until it is released.
class Held {
 public:
  explicit Held(BlockingPool& pool) {
    EXPECT_TRUE(pool.submit([state = state_] {
      state->begun.count_down();
      state->go_on.wait();
    }));
    state_->begun.wait();
  }
  void release() { state_->go_on.count_down(); }

 private:
  struct State {
    std::latch begun{1};
    std::latch go_on{1};
  };
  std::shared_ptr<State> state_ = std::make_shared<State>();  // shared with the job, which may end later
};

/// Records the order in which jobs run that were submitted while a pool's one thread was held.
class Order {
 public:
  void add(BlockingPool& pool, std::string name, PoolTurn turn) {
    EXPECT_TRUE(pool.submit([this, name] { ran_ += name + " "; }, turn));
  }
  /// Waits for a last job of tenant 1, behind all others.
  std::string after(BlockingPool& pool, Held& held) {
    std::latch last(1);
    EXPECT_TRUE(pool.submit([&] { last.count_down(); }, {.tenant = 1}));
    held.release();
    last.wait();
    return ran_;
  }

 private:
  std::string ran_;  // written by the pool's one thread, read after `last`
};

TEST(BlockingPool, AnAbandonedJobThatHasNotBegunNeverDoes) {
  EventLoop loop;
  BlockingPool pool(1, 2);
  Held held(pool);
  bool ran = false;
  auto owned = std::make_shared<int>(1);
  const std::weak_ptr<int> watched = owned;
  run_task(loop, [&]() -> Task<void> {
    {
      Scope scope;
      scope.spawn([](BlockingPool& on, bool& flag, std::shared_ptr<int> mine) -> Task<void> {
        co_await on.run([&flag, mine = std::move(mine)] {
          flag = true;
          return 1;
        });
      }(pool, ran, std::move(owned)));
      EXPECT_FALSE(watched.expired());
    }
    EXPECT_TRUE(watched.expired()) << "what it held is given back at once";
    // Its place in the queue of two is given back, too.
    EXPECT_TRUE(pool.submit([] {}, {.tenant = 1}));
    EXPECT_TRUE(pool.submit([] {}, {.tenant = 2}));
    EXPECT_FALSE(pool.submit([] {}, {.tenant = 3}));
    held.release();
    co_return;
  }());
  EXPECT_FALSE(ran);
}

TEST(BlockingPool, TenantsHaveTheirTurns) {
  BlockingPool pool(1, 64);
  Held held(pool);
  Order order;
  for (const char* name : {"a1", "a2", "a3", "a4"}) order.add(pool, name, {.tenant = 1});
  for (const char* name : {"b1", "b2"}) order.add(pool, name, {.tenant = 2});
  order.add(pool, "c1", {.tenant = 3});
  EXPECT_EQ(order.after(pool, held), "a1 b1 c1 a2 b2 a3 a4 ");
}

TEST(BlockingPool, OneTenantLeavesHalfOfTheQueueToOthers) {
  BlockingPool pool(1, 4);
  Held held(pool);
  EXPECT_TRUE(pool.submit([] {}, {.tenant = 1}));
  EXPECT_TRUE(pool.submit([] {}, {.tenant = 1}));
  EXPECT_FALSE(pool.submit([] {}, {.tenant = 1}));
  EXPECT_TRUE(pool.submit([] {}, {.tenant = 2}));
  held.release();
}

TEST(BlockingPool, LongJobsLeaveAThreadForOthers) {
  EventLoop loop;
  std::latch begun(1);
  std::latch go_on(1);
  std::atomic<int> long_ones{0};
  BlockingPool pool(2, 64);  // destroyed first, waiting for the jobs that still use the above
  for (int i = 0; i < 4; ++i) {
    ASSERT_TRUE(pool.submit(
        [&] {
          ++long_ones;
          if (long_ones == 1) begun.count_down();
          go_on.wait();
        },
        {.tenant = 1, .is_long = true}));
  }
  begun.wait();
  // The same tenant, behind all its long jobs; repeated, so that the other thread has looked.
  for (int i = 0; i < 20; ++i)
    EXPECT_EQ(run_task(loop, pool.run([] { return 7; }, {.tenant = 1})).value(), 7);
  EXPECT_EQ(long_ones, 1);
  go_on.count_down();
}

}  // namespace
}  // namespace autoglm
