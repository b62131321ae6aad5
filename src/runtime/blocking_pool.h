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
#include <new>

namespace autoglm {

/// The tenant of a BlockingPool's job, and whether the job is long.
struct PoolTurn {
  std::uint64_t tenant = 0;
  bool is_long = false;  ///< may take more than some tens of milliseconds
};

/// A few threads for work that blocks or takes milliseconds of CPU: tokenizing, templates, grammars, files;
/// name lookups have another pool. Tenants take turns and share the queue: a job behind a crowd of another
/// tenant's jobs waits for only one of them. Long jobs never occupy the last thread, if there are several.
///
/// **A job owns what it uses**, or shares it: its caller may be gone, and with it what the caller held.
/// Bounded: a full queue refuses with kResourceExhausted. Thread-safe. Must be destroyed before the loops
/// that wait for it; its destructor waits for running jobs and drops the rest.
class BlockingPool {
 public:
  using Turn = PoolTurn;

  BlockingPool(unsigned threads, std::size_t queue_limit);
  ~BlockingPool();
  BlockingPool(const BlockingPool&) = delete;
  BlockingPool& operator=(const BlockingPool&) = delete;

  /// Runs `function` on a thread of the pool and returns its result on the caller's loop; an exception
  /// becomes an error, kInternal, and a lack of memory kUnavailable. Destroying the caller abandons the job:
  /// a job that has not begun is destroyed with the caller and never runs; the result of a running job is
  /// dropped.
  template <std::invocable F>
  Task<Result<std::invoke_result_t<F>>> run(F function, Turn turn = {}) {
    using Value = std::invoke_result_t<F>;
    struct State final : Errand {
      void run() override {
        if (!abandoned) done.set();
      }
      Result<Value> outcome = fail(no_memory());  // made before it is needed: then there is no memory for it
      Signal done;                                // loop thread only
      bool abandoned = false;                     // loop thread only
    };
    struct AbandonOnExit {
      std::shared_ptr<State> state;
      std::shared_ptr<Queue> queue;  // the queue may outlive the pool
      std::uint64_t ticket = 0;
      ~AbandonOnExit() {
        state->abandoned = true;
        if (ticket != 0 && !state->done.is_set()) withdraw(*queue, ticket);
      }
    };
    AbandonOnExit guard{std::make_shared<State>(), queue_};
    EventLoop& loop = EventLoop::current();
    guard.ticket = enqueue(
        [state = guard.state, &loop, job = std::move(function)]() mutable {
          run_into(state->outcome, job);
          loop.post(std::move(state));
        },
        turn);
    if (guard.ticket == 0) co_return fail(queue_full());
    co_await guard.state->done.wait();
    co_return std::move(guard.state->outcome);
  }

  /// Runs `job`, which must not throw, on a thread of the pool, without a result; false when the queue is
  /// full.
  bool submit(std::move_only_function<void()> job, Turn turn = {}) {
    return enqueue(std::move(job), turn) != 0;
  }

 private:
  struct Queue;

  /// Leaves `outcome` as it is where there is no memory for another one.
  template <class F>
  static void run_into(Result<std::invoke_result_t<F>>& outcome, F& function) {
    try {
      try {
        outcome = Result<std::invoke_result_t<F>>(std::in_place, function());
      } catch (const std::bad_alloc&) {
        throw;
      } catch (const std::exception& exception) {
        outcome = fail(threw(exception));
      }
    } catch (const std::bad_alloc&) {
    }
  }
  /// A ticket; 0: the queue is full.
  std::uint64_t enqueue(std::move_only_function<void()> job, Turn turn);
  /// Destroys the job unless it has begun.
  static void withdraw(Queue& queue, std::uint64_t ticket);
  static Error threw(const std::exception& exception);
  static Error no_memory();
  static Error queue_full();

  std::shared_ptr<Queue> queue_;
  struct Threads;
  std::unique_ptr<Threads> threads_;
};

}  // namespace autoglm
