#pragma once

#include <atomic>

namespace autoglm::gateway {

/// Whether the process wants requests. Written by the app, read by health answers. Thread-safe.
class Readiness {
 public:
  /// Load balancers shall ask another instance; until all of them have noticed, requests are still answered.
  bool leaving() const { return leaving_.load(std::memory_order_relaxed); }
  void begin_leaving() { leaving_.store(true, std::memory_order_relaxed); }
  /// New generations are refused, too.
  bool draining() const { return draining_.load(std::memory_order_relaxed); }
  void begin_drain() {
    begin_leaving();
    draining_.store(true, std::memory_order_relaxed);
  }

 private:
  std::atomic<bool> leaving_{false};
  std::atomic<bool> draining_{false};
};

}  // namespace autoglm::gateway
