#pragma once

#include "base/clock.h"

namespace autoglm {

namespace detail {
/// Of the loop that runs on this thread; the earliest of all times where none does.
inline thread_local constinit MonotonicTime t_loop_time = MonotonicTime::min();
}  // namespace detail

/// The time for what is counted in tenths of seconds, such as deadlines and who was seen last: on a loop's
/// thread what the clock said when it last looked, at most a tick of the kernel's (some milliseconds) before
/// whoever runs now was resumed. A request asks a dozen times, and each look at the clock costs as much as
/// parsing a header does. What is measured and shown to people looks itself. Any thread.
inline MonotonicTime loop_time() {
  return detail::t_loop_time == MonotonicTime::min() ? std::chrono::steady_clock::now() : detail::t_loop_time;
}

/// The same, for whoever takes a clock.
class LoopClock final : public Clock {
 public:
  MonotonicTime now() const override { return loop_time(); }
};

}  // namespace autoglm
