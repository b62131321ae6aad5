#pragma once

#include "base/result.h"
#include "runtime/event_loop.h"
#include "runtime/signal.h"
#include "runtime/task.h"

#include <concepts>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>

namespace autoglm {

/// A few threads for what blocks or burns milliseconds: tokenizing, templates, grammars, DNS,
/// files. Bounded: a full queue refuses with kResourceExhausted. Thread-safe. Must be destroyed
/// before the loops that wait on it; its destructor waits for the jobs that run and drops the rest.
class BlockingPool {
 public:
  BlockingPool(unsigned threads, std::size_t queue_limit);
  ~BlockingPool();
  BlockingPool(const BlockingPool&) = delete;
  BlockingPool& operator=(const BlockingPool&) = delete;

  /// Runs `function` on a thread of the pool and returns what it returns, on the caller's loop. A
  /// caller that is destroyed meanwhile abandons the job: it may still run, its result is dropped.
  template <std::invocable F>
  Task<Result<std::invoke_result_t<F>>> run(F function) {
    using Value = std::invoke_result_t<F>;
    struct State {
      std::optional<Value> value;
      Signal done;             // touched on the loop only
      bool abandoned = false;  // likewise
    };
    struct AbandonOnExit {
      std::shared_ptr<State> state;
      ~AbandonOnExit() { state->abandoned = true; }
    };
    const auto state = std::make_shared<State>();
    const AbandonOnExit guard{state};
    EventLoop& loop = EventLoop::current();
    const bool accepted = submit([state, &loop, job = std::move(function)]() mutable {
      state->value.emplace(job());
      loop.post([done = std::move(state)] {
        if (!done->abandoned) done->done.set();
      });
    });
    if (!accepted) co_return fail(queue_full());
    co_await state->done.wait();
    co_return std::move(*state->value);
  }

  /// Runs `job` on a thread of the pool; false when the queue is full. Nobody hears of its end.
  bool submit(std::move_only_function<void()> job);

 private:
  static Error queue_full();

  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace autoglm
