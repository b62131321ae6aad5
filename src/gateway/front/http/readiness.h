#pragma once

#include <atomic>

namespace autoglm::gateway {

/// Whether the process wants requests. Written by the app, read by health answers. Thread-safe.
class Readiness {
 public:
  bool draining() const { return draining_.load(std::memory_order_relaxed); }
  void begin_drain() { draining_.store(true, std::memory_order_relaxed); }

 private:
  std::atomic<bool> draining_{false};
};

}  // namespace autoglm::gateway
