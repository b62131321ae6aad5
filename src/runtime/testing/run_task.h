#pragma once

#include "runtime/event_loop.h"
#include "runtime/scope.h"
#include "runtime/task.h"

#include <exception>
#include <optional>
#include <utility>

namespace autoglm {

/// Runs `task` to its end on `loop`, from a test that is not on the loop, and returns its result.
template <class T>
T run_task(EventLoop& loop, Task<T> task) {
  std::optional<T> result;
  std::optional<Scope> scope(std::in_place);
  loop.post([&] {
    scope->spawn([](Task<T> inner, std::optional<T>& out, EventLoop& on) -> Task<void> {
      try {
        out.emplace(co_await std::move(inner));
      } catch (...) {  // otherwise the test would wait for it forever
        std::terminate();
      }
      on.stop();
    }(std::move(task), result, loop));
  });
  loop.run();
  return std::move(*result);
}

inline void run_task(EventLoop& loop, Task<void> task) {
  run_task(loop, [](Task<void> inner) -> Task<bool> {
    co_await std::move(inner);
    co_return true;
  }(std::move(task)));
}

}  // namespace autoglm
