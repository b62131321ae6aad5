#include "runtime/task.h"

#include "runtime/channel.h"
#include "runtime/race.h"
#include "runtime/scope.h"
#include "runtime/testing/run_task.h"

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <vector>

namespace autoglm {
namespace {

using namespace std::chrono_literals;

/// Writes its name into a journal when it is destroyed.
struct Witness {
  Witness(std::vector<std::string>& target, std::string label) : journal(target), name(std::move(label)) {}
  ~Witness() { journal.push_back(name); }
  Witness(const Witness&) = delete;
  Witness& operator=(const Witness&) = delete;
  std::vector<std::string>& journal;
  std::string name;
};

Task<int> add(int a, int b) { co_return a + b; }

Task<int> add_after_a_turn(int a, int b) {
  co_await yield_to_loop();
  co_return co_await add(a, b);
}

TEST(Task, ReturnsValuesThroughLevels) {
  EventLoop loop;
  EXPECT_EQ(run_task(loop, add_after_a_turn(2, 3)), 5);
}

TEST(Task, CarriesExceptionsToTheAwaiter) {
  EventLoop loop;
  const auto thrower = []() -> Task<int> {
    co_await yield_to_loop();
    throw std::runtime_error("broken");
  };
  const auto catcher = [&]() -> Task<std::string> {
    try {
      co_await thrower();
    } catch (const std::runtime_error& error) {
      co_return error.what();
    }
    co_return "nothing was thrown";
  };
  EXPECT_EQ(run_task(loop, catcher()), "broken");
}

TEST(Task, NeverStartsWhenNotAwaited) {
  bool started = false;
  {
    const auto task = [&]() -> Task<void> {
      started = true;
      co_return;
    }();
  }
  EXPECT_FALSE(started);
}

TEST(Scope, CancelDestroysInnerFramesFirst) {
  EventLoop loop;
  std::vector<std::string> journal;
  const auto inner = [&]() -> Task<void> {
    const Witness witness(journal, "inner");
    co_await sleep_for(1h);
  };
  const auto outer = [&]() -> Task<void> {
    const Witness witness(journal, "outer");
    co_await inner();
  };
  run_task(loop, [&]() -> Task<void> {
    Scope scope;
    scope.spawn(outer());
    co_await yield_to_loop();
    EXPECT_EQ(scope.size(), 1U);
    scope.cancel();
    EXPECT_TRUE(scope.empty());
  }());
  EXPECT_EQ(journal, (std::vector<std::string>{"inner", "outer"}));
}

TEST(Scope, JoinWaitsForAll) {
  EventLoop loop;
  int ended = 0;
  run_task(loop, [&]() -> Task<void> {
    Scope scope;
    for (int i = 0; i < 10; ++i) {
      scope.spawn([](int turns, int& count) -> Task<void> {
        for (int turn = 0; turn < turns; ++turn) co_await yield_to_loop();
        ++count;
      }(i, ended));
    }
    co_await scope.join();
  }());
  EXPECT_EQ(ended, 10);
}

TEST(Scope, WhatATaskThrowsEndsThatTaskAlone) {
  EventLoop loop;
  int ended = 0;
  run_task(loop, [&]() -> Task<void> {
    Scope scope;
    scope.spawn([](int& count) -> Task<void> {
      co_await yield_to_loop();
      co_await yield_to_loop();
      ++count;
    }(ended));
    scope.spawn([]() -> Task<void> {
      throw std::runtime_error("at once");
      co_return;
    }());
    scope.spawn([]() -> Task<void> {
      co_await yield_to_loop();
      throw std::runtime_error("later");
    }());
    co_await scope.join();
  }());
  EXPECT_EQ(ended, 1);
}

TEST(FirstOf, CancelsTheLoser) {
  EventLoop loop;
  std::vector<std::string> journal;
  const auto sleeper = [&]() -> Task<int> {
    const Witness witness(journal, "loser destroyed");
    co_await sleep_for(1h);
    co_return 1;
  };
  const auto race = [&]() -> Task<std::variant<int, int>> {
    co_return co_await first_of(sleeper(), add_after_a_turn(20, 1));
  };
  const auto outcome = run_task(loop, race());
  ASSERT_EQ(outcome.index(), 1U);
  EXPECT_EQ(std::get<1>(outcome), 21);
  EXPECT_EQ(journal, (std::vector<std::string>{"loser destroyed"}));
}

TEST(FirstOf, DoesNotStartTheSecondWhenTheFirstIsReady) {
  EventLoop loop;
  bool started = false;
  const auto second = [&]() -> Task<int> {
    started = true;
    co_return 2;
  };
  run_task(loop, [&]() -> Task<void> {
    const auto outcome = co_await first_of(add(1, 1), second());
    EXPECT_EQ(outcome.index(), 0U);
  }());
  EXPECT_FALSE(started);
}

TEST(WithDeadline, EndsATaskThatTakesTooLong) {
  EventLoop loop;
  const auto sleeper = []() -> Task<Result<int>> {
    co_await sleep_for(1h);
    co_return 1;
  };
  const auto result = run_task(loop, [&]() -> Task<Result<int>> {
    co_return co_await with_deadline(Deadline::after(1ms), sleeper(), "sleeping");
  }());
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::kDeadlineExceeded);
  EXPECT_EQ(result.error().message, "sleeping took too long");
}

TEST(WithDeadline, DestroysTheTaskBeforeItSaysSo) {
  EventLoop loop;
  std::vector<std::string> journal;
  const auto sleeper = [&]() -> Task<Result<int>> {
    const Witness witness(journal, "destroyed");
    co_await sleep_for(1h);
    co_return 1;
  };
  run_task(loop, [&]() -> Task<void> {
    const auto result = co_await with_deadline(Deadline::after(1ms), sleeper(), "sleeping");
    EXPECT_FALSE(result.has_value());
    EXPECT_EQ(journal, (std::vector<std::string>{"destroyed"}));
  }());
}

TEST(WithDeadline, IsCancelledByItsDestructionAtAnyPoint) {
  EventLoop loop;
  std::vector<std::string> journal;
  const auto sleeper = [&]() -> Task<Result<int>> {
    const Witness witness(journal, "destroyed");
    co_await sleep_for(1h);
    co_return 1;
  };
  const auto waiter = [&]() -> Task<void> {
    (void)co_await with_deadline(Deadline::after(1ms), sleeper(), "sleeping");
    journal.push_back("resumed");
  };
  run_task(loop, [&]() -> Task<void> {
    Scope scope;
    // The scope is cancelled between the task's deadline and its resumption: this timer is a moment older.
    Timer timer([&] { scope.cancel(); });
    timer.arm(std::chrono::steady_clock::now() + 1ms);
    scope.spawn(waiter());
    co_await sleep_for(5ms);
  }());
  EXPECT_EQ(journal, (std::vector<std::string>{"destroyed"}));
}

TEST(FirstOf, CarriesExceptionsToTheAwaiter) {
  EventLoop loop;
  const auto thrower = []() -> Task<void> {
    co_await yield_to_loop();
    throw std::runtime_error("broken");
  };
  const auto sleeper = []() -> Task<void> { co_await sleep_for(1h); };
  run_task(loop, [&]() -> Task<void> {
    bool caught = false;
    try {
      co_await first_of(sleeper(), thrower());
    } catch (const std::runtime_error&) {
      caught = true;
    }
    EXPECT_TRUE(caught);
  }());
}

TEST(WithDeadline, WhatATaskThrowsIsAnError) {
  EventLoop loop;
  const auto failing = []() -> Task<Result<int>> {
    co_await yield_to_loop();
    throw std::out_of_range("no such member");
  };
  run_task(loop, [&]() -> Task<void> {
    const auto result = co_await with_deadline(Deadline::after(1h), failing(), "counting");
    EXPECT_FALSE(result);
    EXPECT_EQ(result.error().code, ErrorCode::kInternal);
    EXPECT_EQ(result.error().message, "counting failed: no such member");
  }());
}

TEST(WithDeadline, PassesTheResultOn) {
  EventLoop loop;
  const auto quick = []() -> Task<Result<int>> { co_return 7; };
  run_task(loop, [&]() -> Task<void> {
    const auto result = co_await with_deadline(Deadline::after(1h), quick(), "counting");
    EXPECT_EQ(result.value(), 7);
  }());
}

TEST(Channel, KeepsOrderAndBound) {
  EventLoop loop;
  std::vector<int> received;
  run_task(loop, [&]() -> Task<void> {
    Channel<int> channel(2);
    Scope scope;
    scope.spawn([](Channel<int>& out) -> Task<void> {
      for (int i = 0; i < 100; ++i) {
        co_await out.push(i);
        EXPECT_LE(out.size(), 2U);
      }
      out.close();
    }(channel));
    while (auto item = co_await channel.pop()) received.push_back(*item);
  }());
  ASSERT_EQ(received.size(), 100U);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(received[static_cast<std::size_t>(i)], i);
}

TEST(Channel, RefusesWhenFullOrClosed) {
  EventLoop loop;
  run_task(loop, []() -> Task<void> {
    Channel<int> channel(1);
    EXPECT_TRUE(channel.try_push(1));
    EXPECT_FALSE(channel.try_push(2));
    channel.close();
    EXPECT_EQ(co_await channel.pop(), 1);
    EXPECT_EQ(co_await channel.pop(), std::nullopt);
    EXPECT_FALSE(channel.try_push(3));
  }());
}

TEST(Signal, MayBeSetByTheLastActOfItsOwner) {
  // The waker destroys the signal's waiter before the loop can resume it.
  EventLoop loop;
  run_task(loop, []() -> Task<void> {
    Signal signal;
    Scope scope;
    bool resumed = false;
    scope.spawn([](Signal& s, bool& flag) -> Task<void> {
      co_await s.wait();
      flag = true;
    }(signal, resumed));
    signal.set();
    scope.cancel();
    co_await yield_to_loop();
    EXPECT_FALSE(resumed);
  }());
}

}  // namespace
}  // namespace autoglm
