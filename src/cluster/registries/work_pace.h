#pragma once

#include "base/clock.h"

#include <time.h>

#include <algorithm>

namespace autoglm::cluster {

/// Bounds what work costs that is wanted again and again, on one thread: afterwards it rests for 100 times as
/// long as the thread was busy with it. Made when the work begins.
class WorkPace {
 public:
  static constexpr int kRests = 100;

  /// At most `longest`, so that a change is not late.
  Duration rest(Duration longest) const { return std::min(kRests * (used() - began_), longest); }

 private:
  static Duration used() {
    timespec time{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
  }

  Duration began_ = used();
};

}  // namespace autoglm::cluster
