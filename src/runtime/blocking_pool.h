#pragma once

#include "base/result.h"
#include "runtime/event_loop.h"
#include "runtime/signal.h"
#include "runtime/task.h"

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>

namespace autoglm {

/// Whose a job of a BlockingPool is, and what it takes.
struct PoolTurn {
  std::uint64_t tenant = 0;
  bool is_long = false;  ///< more than some tens of milliseconds, perhaps
};

/// A few threads for what blocks or burns milliseconds: tokenizing, templates, grammars, files; another pool
/// is for looking up names. Tenants have their turns, and a part of the queue: whoever is behind a crowd of
/// one tenant's jobs waits for one of them. Long jobs never hold the last thread, if there are several.
///
/// **A job owns what it uses**, or shares it: its caller may be gone, and with it what the caller held.
/// Bounded: a full queue refuses with kResourceExhausted. Thread-safe. Must be destroyed before the loops
/// that wait on it; its destructor waits for the jobs that run and drops the rest.
class BlockingPool {
 public:
  using Turn = PoolTurn;

  BlockingPool(unsigned threads, std::size_t queue_limit);
  ~BlockingPool();
  BlockingPool(const BlockingPool&) = delete;
  BlockingPool& operator=(const BlockingPool&) = delete;

  /// Runs `function` on a thread of the pool and returns what it returns, on the caller's loop; what it
  /// throws is an error, kInternal. A caller that is destroyed meanwhile abandons the job: if it has not
  /// begun it never does, and is destroyed with the caller; if it has, its result is dropped.
  template <std::invocable F>
  Task<Result<std::invoke_result_t<F>>> run(F function, Turn turn = {}) {
    using Value = std::invoke_result_t<F>;
    struct State {
      std::optional<Result<Value>> outcome;
      Signal done;             // touched on the loop only
      bool abandoned = false;  // likewise
    };
    struct AbandonOnExit {
      std::shared_ptr<State> state;
      std::shared_ptr<Queue> queue;  // which may outlive the pool
      std::uint64_t ticket = 0;
      ~AbandonOnExit() {
        state->abandoned = true;
        if (ticket != 0 && !state->outcome) withdraw(*queue, ticket);
      }
    };
    AbandonOnExit guard{std::make_shared<State>(), queue_};
    EventLoop& loop = EventLoop::current();
    guard.ticket = enqueue(
        [state = guard.state, &loop, job = std::move(function)]() mutable {
          auto outcome = outcome_of(job);
          loop.post([done = std::move(state), made = std::move(outcome)]() mutable {
            if (done->abandoned) return;
            done->outcome.emplace(std::move(made));
            done->done.set();
          });
        },
        turn);
    if (guard.ticket == 0) co_return fail(queue_full());
    co_await guard.state->done.wait();
    co_return std::move(*guard.state->outcome);
  }

  /// Runs `job`, which throws nothing, on a thread of the pool; false when the queue is full. Nobody hears of
  /// its end.
  bool submit(std::move_only_function<void()> job, Turn turn = {}) {
    return enqueue(std::move(job), turn) != 0;
  }

 private:
  struct Queue;

  template <class F>
  static Result<std::invoke_result_t<F>> outcome_of(F& function) {
    try {
      return function();
    } catch (const std::exception& exception) {
      return fail(threw(exception));
    }
  }
  /// A ticket; 0: the queue is full.
  std::uint64_t enqueue(std::move_only_function<void()> job, Turn turn);
  /// Destroys the job unless it has begun.
  static void withdraw(Queue& queue, std::uint64_t ticket);
  static Error threw(const std::exception& exception);
  static Error queue_full();

  std::shared_ptr<Queue> queue_;
  struct Threads;
  std::unique_ptr<Threads> threads_;
};

}  // namespace autoglm
