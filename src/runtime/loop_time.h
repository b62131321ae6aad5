#pragma once

#include "base/clock.h"

namespace autoglm {

namespace detail {
/// The time of the loop that runs on this thread; `min()` on a thread without a loop.
inline thread_local constinit MonotonicTime t_loop_time = MonotonicTime::min();
}  // namespace detail

/// The time to within some milliseconds, for deadlines and for notes of when something was last seen. On a
/// loop's thread this is the loop's last look at the clock, at most one kernel tick older than the moment the
/// running coroutine was resumed. A request asks a dozen times, and each look at the clock costs as much as
/// parsing a header. Code that measures time for a report reads the clock itself. Any thread.
inline MonotonicTime loop_time() {
  return detail::t_loop_time == MonotonicTime::min() ? std::chrono::steady_clock::now() : detail::t_loop_time;
}

/// loop_time() as a Clock.
class LoopClock final : public Clock {
 public:
  MonotonicTime now() const override { return loop_time(); }
};

}  // namespace autoglm
