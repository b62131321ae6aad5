#pragma once

#include "runtime/loop_time.h"

#include <algorithm>

namespace autoglm {

/// The time after which an answer is no longer awaited. Monotonic; a value that is passed on.
class Deadline {
 public:
  Deadline() = default;  ///< never
  explicit Deadline(MonotonicTime at) : at_(at) {}
  static Deadline never() { return {}; }
  static Deadline after(Duration duration) {
    if (duration == Duration::max()) return never();
    const auto now = loop_time();
    return duration >= MonotonicTime::max() - now ? Deadline() : Deadline(now + duration);
  }

  MonotonicTime at() const { return at_; }
  bool is_never() const { return at_ == MonotonicTime::max(); }
  bool passed(MonotonicTime now = std::chrono::steady_clock::now()) const { return now >= at_; }
  Duration remaining(MonotonicTime now = std::chrono::steady_clock::now()) const {
    return is_never() ? Duration::max() : std::max(at_ - now, Duration::zero());
  }
  friend Deadline earlier(Deadline a, Deadline b) { return a.at_ < b.at_ ? a : b; }
  friend bool operator==(Deadline, Deadline) = default;

 private:
  MonotonicTime at_ = MonotonicTime::max();
};

}  // namespace autoglm
