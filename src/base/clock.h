#pragma once

#include <chrono>
#include <ctime>

namespace autoglm {

/// Every timer and every decision uses this clock: it never jumps.
using MonotonicTime = std::chrono::steady_clock::time_point;
using Duration = std::chrono::steady_clock::duration;

/// The source of `now` for decision logic to which no time can be passed. Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual MonotonicTime now() const = 0;
};

/// The machine's monotonic clock.
class SteadyClock final : public Clock {
 public:
  MonotonicTime now() const override { return std::chrono::steady_clock::now(); }
};

/// CPU time of all threads of this process so far. Costs a system call; exact for the calling thread, for
/// other threads as of their CPU's last tick.
inline Duration process_cpu_time() {
  timespec spent{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &spent);
  return std::chrono::seconds(spent.tv_sec) + std::chrono::nanoseconds(spent.tv_nsec);
}

inline double to_seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }

}  // namespace autoglm
