#include "runtime/idle_hook.h"

#include "runtime/blocking_pool.h"
#include "runtime/event_loop.h"

#include <gtest/gtest.h>

#include <atomic>
#include <semaphore>
#include <thread>

namespace autoglm {
namespace {

class IdleHookTest : public ::testing::Test {
 protected:
  IdleHookTest() {
    calls_ = 0;
    set_idle_hook([] {
      ++calls_;
      if (auto* const rested = rests_.load()) rested->release();
    });
    rests_ = &called_;
  }
  ~IdleHookTest() override { set_idle_hook(nullptr); }

  std::counting_semaphore<> called_{0};
  static inline std::atomic<std::counting_semaphore<>*> rests_ = nullptr;
  static inline std::atomic<int> calls_ = 0;
};

TEST_F(IdleHookTest, AThreadRestsOnceAfterItsWork) {
  IdleTurn turn;
  EXPECT_EQ(turn.bounded(Duration::max()), Duration::max()) << "it has kept nothing yet";
  turn.rest();
  EXPECT_EQ(calls_, 0);
  turn.work();
  EXPECT_EQ(turn.bounded(Duration::max()), IdleTurn::kAfter);
  EXPECT_EQ(turn.bounded(Duration(5)), Duration(5));
  turn.rest();
  turn.rest();
  EXPECT_EQ(calls_, 1);
  EXPECT_EQ(turn.bounded(Duration::max()), Duration::max());
}

TEST_F(IdleHookTest, NothingIsBoundedWithoutAHook) {
  set_idle_hook(nullptr);
  IdleTurn turn;
  turn.work();
  EXPECT_EQ(turn.bounded(Duration::max()), Duration::max());
  turn.rest();
  EXPECT_EQ(calls_, 0);
}

TEST_F(IdleHookTest, ALoopCallsItWhenItsWorkIsDone) {
  EventLoop loop;
  std::thread thread([&] { loop.run(); });
  loop.post([] {});
  called_.acquire();
  loop.stop();
  thread.join();
  EXPECT_EQ(calls_, 1);
}

TEST_F(IdleHookTest, APoolsThreadCallsItWhenItsWorkIsDone) {
  BlockingPool pool(1, 8);
  ASSERT_TRUE(pool.submit([] {}));
  called_.acquire();
  ASSERT_TRUE(pool.submit([] {}));
  called_.acquire();
  EXPECT_EQ(calls_, 2);
}

}  // namespace
}  // namespace autoglm
