#pragma once

#include "runtime/event_loop.h"
#include "runtime/race.h"
#include "runtime/task.h"

#include <optional>
#include <utility>
#include <variant>

namespace autoglm {

/// Waits for `count` turns of the loop. In each turn every ready coroutine runs once up to its next
/// suspension, and sockets and timers are looked at.
inline Task<void> turns(unsigned count) {
  for (unsigned i = 0; i < count; ++i) co_await yield_to_loop();
}

/// The result of `task` if it ends within `count` turns; else the task is destroyed. Counts 0, 1, 2 … destroy
/// the task at each of its suspensions.
template <class T>
Task<std::optional<T>> for_turns(unsigned count, Task<T> task) {
  auto outcome = co_await first_of(std::move(task), turns(count));
  if (outcome.index() == 1) co_return std::nullopt;
  co_return std::optional<T>(std::get<0>(std::move(outcome)));
}

/// Numbers of turns after which to destroy a task: every one of the first few, then ever sparser, for tasks
/// that wait for other threads or for many sockets.
class TurnCounts {
 public:
  static constexpr unsigned kEach = 24;
  static constexpr unsigned kMost = 2000;

  unsigned now() const { return now_; }
  bool over() const { return now_ > kMost; }
  void advance() { now_ += now_ < kEach ? 1 : now_ / 2; }

 private:
  unsigned now_ = 0;
};

}  // namespace autoglm
