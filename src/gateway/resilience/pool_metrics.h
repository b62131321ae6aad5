#pragma once

#include "observe/metrics/registry.h"

#include <string>

namespace autoglm::gateway {

/// A pool's metrics. Thread-safe.
struct PoolMetrics {
  PoolMetrics(observe::MetricRegistry& registry, const std::string& model);

  observe::Counter& retries;
  observe::Counter& retries_refused;
  observe::Counter& resumed;
  observe::Counter& not_resumed;
  observe::Counter& hedges;
  observe::Counter& hedges_won;
  observe::Counter& panics;
  observe::Counter& fallbacks;
  observe::Counter& static_answers;
};

}  // namespace autoglm::gateway
