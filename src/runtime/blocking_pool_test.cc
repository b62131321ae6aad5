#include "runtime/blocking_pool.h"

#include "runtime/scope.h"
#include "runtime/testing/run_task.h"

#include <gtest/gtest.h>

#include <latch>
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

}  // namespace
}  // namespace autoglm
