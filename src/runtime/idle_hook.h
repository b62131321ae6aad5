#pragma once

#include "base/clock.h"

#include <algorithm>
#include <utility>

namespace autoglm {

/// A function that each thread of a loop or a pool calls once when it has had no work for a while after
/// some: what a thread keeps for later, only that thread can give back. The application's allocator does so.
/// Null: nothing. Set before the threads begin; it must not throw, nor take longer than a millisecond or so.
void set_idle_hook(void (*hook)());

/// One thread's turns between work and rest. Not thread-safe.
class IdleTurn {
 public:
  static constexpr Duration kAfter = std::chrono::seconds(1);

  void work() { worked_ = true; }
  /// How long to wait for work at most, where the thread would wait for `timeout`.
  Duration bounded(Duration timeout) const {
    return worked_ && is_set() ? std::min(timeout, kAfter) : timeout;
  }
  /// No work came in that time.
  void rest();

 private:
  static bool is_set();

  bool worked_ = false;
};

}  // namespace autoglm
