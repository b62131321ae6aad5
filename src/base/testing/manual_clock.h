#pragma once

#include "base/clock.h"

#include <atomic>

namespace autoglm {

/// A clock that moves only when told to. Thread-safe.
class ManualClock final : public Clock {
 public:
  MonotonicTime now() const override {
    return MonotonicTime(Duration(ticks_.load(std::memory_order_acquire)));
  }
  void advance(Duration by) { ticks_.fetch_add(by.count(), std::memory_order_acq_rel); }

 private:
  std::atomic<Duration::rep> ticks_{Duration(std::chrono::hours(1)).count()};
};

}  // namespace autoglm
