#pragma once

#include "base/clock.h"
#include "observe/metrics/registry.h"

#include <array>
#include <atomic>
#include <string>

namespace autoglm::gateway {

/// The front's metrics, kept so that a request takes no lock: one counter a route and status, looked up once.
/// Thread-safe.
class FrontMetrics {
 public:
  explicit FrontMetrics(observe::MetricRegistry& registry) : registry_(registry) {}

  struct Route {
    std::string name;
    std::array<std::atomic<observe::Counter*>, 600> by_status{};
    std::atomic<observe::Histogram*> seconds{nullptr};
  };
  void record(Route& route, int status, Duration took);

 private:
  observe::MetricRegistry& registry_;
};

}  // namespace autoglm::gateway
