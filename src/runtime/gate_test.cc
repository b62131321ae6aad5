#include "runtime/gate.h"

#include "runtime/event_loop.h"
#include "runtime/scope.h"
#include "runtime/testing/run_task.h"
#include "runtime/worker_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <optional>
#include <thread>

namespace autoglm {
namespace {

using namespace std::chrono_literals;

TEST(Gate, LetsThroughAtOnceWhileItIsOpen) {
  EventLoop loop;
  Gate gate;
  gate.open();
  EXPECT_TRUE(run_task(loop, gate.wait(Deadline::after(0s))));
  gate.shut();
  EXPECT_FALSE(run_task(loop, gate.wait(Deadline::after(1ms))));
  EXPECT_EQ(gate.waiting(), 0U);
}

TEST(Gate, WakesThoseThatWaitOnAllLoopsAndForgetsThoseThatLeft) {
  Gate gate;
  std::atomic<int> through{0};
  WorkerPool workers(2);
  workers.start();
  std::optional<Scope> scopes[2];
  const auto pass = [&]() -> Task<void> { through += co_await gate.wait(Deadline::never()) ? 1 : 0; };
  workers.on_each([&](EventLoop& loop) {
    auto& scope = scopes[loop.index()].emplace();
    for (int i = 0; i < 10; ++i) scope.spawn(pass());
    Scope leaves;
    leaves.spawn(pass());
  });
  EXPECT_EQ(gate.waiting(), 20U);
  gate.open();
  while (through.load() < 20) std::this_thread::yield();
  workers.on_each([&](EventLoop& loop) {
    EXPECT_TRUE(scopes[loop.index()]->empty());
    scopes[loop.index()].reset();
  });
  EXPECT_EQ(through.load(), 20);
  EXPECT_EQ(gate.waiting(), 0U);
}

}  // namespace
}  // namespace autoglm
