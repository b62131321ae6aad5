#include "runtime/event_loop.h"

#include "runtime/deadline.h"
#include "runtime/frame_memory.h"
#include "runtime/mailbox.h"
#include "runtime/os_signals.h"
#include "runtime/scope.h"
#include "runtime/testing/run_task.h"
#include "runtime/worker_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <csignal>
#include <thread>
#include <vector>

namespace autoglm {
namespace {

using namespace std::chrono_literals;

TEST(EventLoop, RunsPostsFromOtherThreadsInOrder) {
  EventLoop loop;
  std::vector<int> order;
  std::thread poster([&] {
    for (int i = 0; i < 1000; ++i) loop.post([&, i] { order.push_back(i); });
    loop.post([&] { loop.stop(); });
  });
  loop.run();
  poster.join();
  ASSERT_EQ(order.size(), 1000U);
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(order[static_cast<std::size_t>(i)], i);
}

TEST(EventLoop, IsStoppedAndPostedToInItsSleep) {
  EventLoop loop;
  int rounds = 0;
  std::thread other([&] {
    for (int i = 0; i < 100; ++i) {
      std::atomic<bool> ran{false};
      loop.post([&] {
        ++rounds;
        ran = true;
      });
      while (!ran) std::this_thread::yield();
    }
    loop.stop();
  });
  loop.run();
  other.join();
  EXPECT_EQ(rounds, 100);
}

TEST(EventLoop, ItsTimersFireWhileCoroutinesKeepEachOtherBusy) {
  EventLoop loop;
  bool fired = false;
  run_task(loop, [&]() -> Task<void> {
    Timer timer([&] { fired = true; });
    timer.arm(std::chrono::steady_clock::now() + 1ms);
    Signal ping;
    Signal pong;
    Scope scope;
    scope.spawn([](Signal& in, Signal& out) -> Task<void> {
      while (true) {
        co_await in.wait();
        in.clear();
        out.set();
      }
    }(ping, pong));
    while (!fired) {
      ping.set();
      co_await pong.wait();
      pong.clear();
    }
  }());
  EXPECT_TRUE(fired);
}

TEST(EventLoop, WhoBlocksDoesNotShortenTheDeadlinesOfOthers) {
  EventLoop loop;
  Scope scope;
  const auto block = []() -> Task<void> {
    co_await yield_to_loop();
    const auto until = std::chrono::steady_clock::now() + 200ms;
    while (std::chrono::steady_clock::now() < until) {
    }
  };
  // Resumed in the same pass, after the coroutine above.
  const auto ask = []() -> Task<Deadline> {
    co_await yield_to_loop();
    co_return Deadline::after(100ms);
  };
  const auto both = [&]() -> Task<void> {
    scope.spawn(block());
    EXPECT_FALSE((co_await ask()).passed());
  };
  run_task(loop, both());
}

TEST(OsSignals, CallBackOnTheLoopForEachDelivery) {
  EventLoop loop;
  std::vector<int> got;
  loop.post([] {});
  OsSignals signals(loop, {SIGUSR1, SIGUSR2}, [&](int number) {
    got.push_back(number);
    if (got.size() == 3) loop.stop();
  });
  std::raise(SIGUSR1);
  std::raise(SIGUSR2);
  std::raise(SIGUSR1);
  loop.run();
  EXPECT_EQ(got, (std::vector<int>{SIGUSR1, SIGUSR2, SIGUSR1}));
}

TEST(FrameMemory, GivesABlockToTheNextFrameOfItsSize) {
  using detail::FrameMemory;
  void* first = FrameMemory::allocate(300);
  FrameMemory::release(first, 300);
  void* second = FrameMemory::allocate(290);
#ifndef AUTOGLM_FRAMES_FROM_HEAP
  EXPECT_EQ(first, second);
#endif
  // A frame that ends on another thread stays there and is freed with that thread.
  std::thread([second] { FrameMemory::release(second, 290); }).join();
  void* large = FrameMemory::allocate(100'000);
  FrameMemory::release(large, 100'000);
}

TEST(Timer, FiresInOrderOfTime) {
  EventLoop loop;
  std::vector<int> fired;
  run_task(loop, [&]() -> Task<void> {
    const auto now = std::chrono::steady_clock::now();
    Timer third([&] { fired.push_back(3); });
    Timer first([&] { fired.push_back(1); });
    Timer second([&] { fired.push_back(2); });
    third.arm(now + 3ms);
    first.arm(now + 1ms);
    second.arm(now + 2ms);
    co_await sleep_until(now + 4ms);
  }());
  EXPECT_EQ(fired, (std::vector<int>{1, 2, 3}));
}

TEST(Timer, DoesNotFireOnceCancelledOrDestroyed) {
  EventLoop loop;
  int fired = 0;
  run_task(loop, [&]() -> Task<void> {
    const auto soon = std::chrono::steady_clock::now() + 1ms;
    Timer cancelled([&] { ++fired; });
    cancelled.arm(soon);
    cancelled.cancel();
    {
      Timer destroyed([&] { ++fired; });
      destroyed.arm(soon);
    }
    co_await sleep_until(soon + 1ms);
  }());
  EXPECT_EQ(fired, 0);
}

TEST(Timer, ReArmingMovesIt) {
  EventLoop loop;
  int fired = 0;
  run_task(loop, [&]() -> Task<void> {
    const auto now = std::chrono::steady_clock::now();
    Timer timer([&] { ++fired; });
    timer.arm(now + 1h);
    timer.arm(now + 1ms);
    co_await sleep_until(now + 2ms);
    EXPECT_EQ(fired, 1);
    EXPECT_FALSE(timer.armed());
  }());
}

TEST(WorkerPool, RunsEachLoopOnItsOwnThread) {
  WorkerPool workers(3);
  workers.start();
  std::vector<std::thread::id> threads(3);
  workers.on_each([&](EventLoop& loop) { threads[loop.index()] = std::this_thread::get_id(); });
  workers.stop();
  EXPECT_NE(threads[0], threads[1]);
  EXPECT_NE(threads[1], threads[2]);
  EXPECT_NE(threads[0], std::this_thread::get_id());
}

TEST(Mailbox, IsBoundedAndKeepsOrder) {
  Mailbox<int> mailbox(2);
  EXPECT_TRUE(mailbox.try_push(1));
  EXPECT_TRUE(mailbox.try_push(2));
  EXPECT_FALSE(mailbox.try_push(3));
  std::vector<int> out;
  mailbox.take_all(out);
  EXPECT_EQ(out, (std::vector<int>{1, 2}));
  mailbox.close();
  EXPECT_FALSE(mailbox.try_push(4));
  mailbox.wait_and_take_all(out);  // returns at once: closed
  EXPECT_EQ(out.size(), 2U);
}

TEST(Mailbox, DeliversEverythingFromManyThreads) {
  Mailbox<int> mailbox(100'000);
  std::vector<std::thread> writers;
  for (int w = 0; w < 4; ++w) {
    writers.emplace_back([&] {
      for (int i = 0; i < 1000; ++i) ASSERT_TRUE(mailbox.try_push(i));
    });
  }
  std::vector<int> out;
  while (out.size() < 4000) mailbox.wait_and_take_all(out);
  for (auto& writer : writers) writer.join();
  EXPECT_EQ(out.size(), 4000U);
}

}  // namespace
}  // namespace autoglm
