#include "gateway/resilience/waiting_line.h"

#include "base/random.h"
#include "runtime/scope.h"
#include "runtime/testing/run_task.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <list>
#include <thread>
#include <vector>

namespace autoglm::gateway {
namespace {

using namespace std::chrono_literals;

/// Places of some servers, and the line for them, as `ModelPool` uses both.
struct Counter {
  static constexpr std::size_t kServers = 3;

  explicit Counter(std::size_t limit = 1000) : line(limit) {}

  std::optional<std::size_t> take(std::uint32_t can_use) {
    for (std::size_t i = 0; i < kServers; ++i) {
      std::int32_t has = free[i].load(std::memory_order_relaxed);
      while ((can_use >> i & 1U) != 0 && has > 0)
        if (free[i].compare_exchange_weak(has, has - 1)) return i;
    }
    return std::nullopt;
  }
  bool could_take(std::uint32_t can_use) const {
    for (std::size_t i = 0; i < kServers; ++i)
      if ((can_use >> i & 1U) != 0 && free[i].load() > 0) return true;
    return false;
  }
  void give_back(std::size_t server) {
    free[server].fetch_add(1);
    line.wake_one();
  }

  WaitingLine line;
  std::array<std::atomic<std::int32_t>, kServers> free{};
};

/// A request that can use some of the servers.
struct Customer {
  enum class State : std::uint8_t { kWaiting, kServed, kSentAway };

  Customer(Counter& counter, std::uint32_t can_use, Deadline deadline = Deadline::never())
      : can_use(can_use) {
    scope.spawn(come(counter, deadline));
  }

  Task<void> come(Counter& counter, Deadline deadline) {
    if (!counter.line.telling() && (server = counter.take(can_use))) {
      state = State::kServed;
      co_return;
    }
    std::uint64_t number = 0;
    auto ticket = counter.line.join(number);
    state = State::kSentAway;
    if (!ticket) co_return;
    state = State::kWaiting;
    if (!ticket->must_wait()) server = counter.take(can_use);
    while (!server) {
      if (!co_await ticket->wait(deadline)) {
        state = State::kSentAway;
        co_return;
      }
      server = counter.take(can_use);
      server ? ticket->took_it() : ticket->wait_again();
    }
    state = State::kServed;
  }

  std::uint32_t can_use;
  State state = State::kWaiting;
  std::optional<std::size_t> server;
  Scope scope;
};

using State = Customer::State;

Task<void> settle() {
  for (int i = 0; i < 32; ++i) co_await yield_to_loop();
}

void on_a_loop(const std::function<Task<void>()>& test) {
  EventLoop loop;
  run_task(loop, test());
}

TEST(WaitingLine, ServesInOrderAndCountsWhoIsBeingTold) {
  on_a_loop([]() -> Task<void> {
    Counter counter;
    Customer first(counter, 1);
    Customer second(counter, 1);
    co_await settle();
    EXPECT_EQ(counter.line.size(), 2U);
    counter.give_back(0);
    EXPECT_TRUE(counter.line.telling());
    EXPECT_EQ(counter.line.size(), 2U) << "the first has not taken it yet";
    co_await settle();
    EXPECT_EQ(first.state, State::kServed);
    EXPECT_EQ(second.state, State::kWaiting);
    EXPECT_EQ(counter.line.size(), 1U);
    EXPECT_FALSE(counter.line.telling());
  });
}

TEST(WaitingLine, SendsAwayWhoComesAboveItsLimitAlsoWhileEverybodyLooks) {
  on_a_loop([]() -> Task<void> {
    Counter counter(1);
    Customer first(counter, 1);
    co_await settle();
    counter.line.wake_all();
    Customer second(counter, 1);
    EXPECT_EQ(second.state, State::kSentAway);
    co_await settle();
    EXPECT_EQ(first.state, State::kWaiting);
  });
}

TEST(WaitingLine, APlacePassesByWhoCannotTakeIt) {
  on_a_loop([]() -> Task<void> {
    Counter counter;
    Customer first(counter, 0b001);
    Customer second(counter, 0b010);
    co_await settle();
    counter.give_back(1);
    co_await settle();
    EXPECT_EQ(first.state, State::kWaiting);
    EXPECT_EQ(second.state, State::kServed);
    counter.give_back(0);
    co_await settle();
    EXPECT_EQ(first.state, State::kServed);
  });
}

TEST(WaitingLine, WhoLeavesPassesItsPlaceOn) {
  on_a_loop([]() -> Task<void> {
    Counter counter;
    auto first = std::make_unique<Customer>(counter, 1);
    Customer second(counter, 1);
    co_await settle();
    counter.give_back(0);
    first.reset();
    co_await settle();
    EXPECT_EQ(second.state, State::kServed);
    EXPECT_EQ(counter.line.size(), 0U);
  });
}

/// A waiter that had to let an earlier one decide about its offer may then find another place that is free.
TEST(WaitingLine, WhoHadToWaitForOthersLooksOnceTheyHaveTheirs) {
  on_a_loop([]() -> Task<void> {
    Counter counter;
    Customer first(counter, 0b001);
    co_await settle();
    counter.give_back(1);  // no place for this request: passed on
    co_await settle();
    counter.give_back(0);
    Customer second(counter, 0b010);
    EXPECT_EQ(second.state, State::kWaiting);
    co_await settle();
    EXPECT_EQ(first.state, State::kServed);
    EXPECT_EQ(second.state, State::kServed);
  });
}

/// A waiter that looks late, perhaps on another loop, does not take a place that was offered to a waiter
/// ahead.
TEST(WaitingLine, ALookIsNotForThePlaceOfSomebodyBefore) {
  on_a_loop([]() -> Task<void> {
    WaitingLine line(10);
    const auto wait = [](WaitingLine::Ticket& ticket, bool& may_look) -> Task<void> {
      may_look = co_await ticket.wait(Deadline::never());
    };
    std::array<std::uint64_t, 2> numbers{};
    auto first = line.join(numbers[0]).value();
    auto second = line.join(numbers[1]).value();
    std::array<bool, 2> look{};
    Scope scope;
    scope.spawn(wait(first, look[0]));
    scope.spawn(wait(second, look[1]));
    line.wake_one();
    line.wake_all();
    co_await settle();
    EXPECT_TRUE(look[0]);
    EXPECT_FALSE(look[1]);
    first.took_it();
    co_await settle();
    EXPECT_TRUE(look[1]) << "what changed is still to be looked at";
    scope.cancel();
  });
}

TEST(WaitingLine, TellsOfTwoPlacesAtOnce) {
  on_a_loop([]() -> Task<void> {
    Counter counter;
    Customer first(counter, 0b001);
    co_await settle();
    counter.give_back(1);
    counter.give_back(0);
    Customer second(counter, 0b010);
    co_await settle();
    EXPECT_EQ(first.state, State::kServed);
    EXPECT_EQ(second.state, State::kServed);
    EXPECT_FALSE(counter.line.telling());
  });
}

TEST(WaitingLine, NobodyWaitsBeyondItsDeadline) {
  on_a_loop([]() -> Task<void> {
    Counter counter;
    Customer first(counter, 1, Deadline::after(1ms));
    while (first.state == State::kWaiting) co_await settle();
    EXPECT_EQ(first.state, State::kSentAway);
    EXPECT_EQ(counter.line.size(), 0U);
  });
}

/// Whatever happens in whichever order: once all is quiet, no request waits that could be served.
TEST(WaitingLine, NoPlaceIsMissed) {
  on_a_loop([]() -> Task<void> {
    for (std::uint64_t seed = 0; seed < 200; ++seed) {
      Random random(seed);
      Counter counter;
      for (auto& free : counter.free) free = static_cast<std::int32_t>(random() % 2);
      std::list<Customer> customers;
      for (int step = 0; step < 100; ++step) {
        for (std::uint64_t burst = random() % 4; burst > 0; --burst) {
          const auto one = random() % 8;
          const auto any =
              customers.empty()
                  ? customers.end()
                  : std::next(customers.begin(), static_cast<std::ptrdiff_t>(random() % customers.size()));
          if (one < 4) {
            customers.emplace_back(counter, static_cast<std::uint32_t>(1 + random() % 7));
          } else if (one == 4) {
            counter.line.wake_all();
          } else if (any != customers.end() && any->state == State::kServed) {
            counter.give_back(*any->server);
            customers.erase(any);
          } else if (any != customers.end() && one == 5) {
            customers.erase(any);
          }
          if (random() % 2 != 0) co_await yield_to_loop();
        }
        co_await settle();
        for (const Customer& customer : customers) {
          EXPECT_TRUE(customer.state == State::kServed || !counter.could_take(customer.can_use))
              << "seed " << seed << ", step " << step;
        }
        const auto waiting = std::ranges::count(customers, State::kWaiting, &Customer::state);
        EXPECT_EQ(counter.line.size(), static_cast<std::size_t>(waiting));
        EXPECT_FALSE(counter.line.telling());
        if (::testing::Test::HasFailure()) co_return;
      }
    }
  });
}

/// Several loops give back and take at once; each waits until it is served.
TEST(WaitingLine, NoPlaceIsMissedBetweenLoops) {
  constexpr int kRounds = 5000;
  Counter counter;
  counter.free[1] = 1;
  std::vector<std::thread> threads;
  for (std::uint32_t t = 0; t < 4; ++t) {
    threads.emplace_back([&counter, t] {
      EventLoop loop;
      run_task(loop, [](Counter& shared, std::uint32_t can_use) -> Task<void> {
        for (int i = 0; i < kRounds; ++i) {
          Customer customer(shared, can_use);
          co_await customer.scope.join();
          if (i % 3 == 0) co_await yield_to_loop();
          shared.give_back(*customer.server);
        }
      }(counter, t % 2 == 0 ? 0b011U : 0b110U));
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(counter.line.size(), 0U);
  EXPECT_FALSE(counter.line.telling());
  EXPECT_EQ(counter.free[1].load(), 1);
}

}  // namespace
}  // namespace autoglm::gateway
