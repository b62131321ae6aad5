#pragma once

#include "gateway/resilience/circuit_breaker.h"
#include "gateway/routing/member.h"
#include "observe/metrics/registry.h"

#include <array>
#include <memory>
#include <string>
#include <vector>

namespace autoglm::gateway {

/// How an attempt at an endpoint ended.
enum class Outcome : std::uint8_t { kOk, kFailed, kTimeout, kRefused };

/// What a pool tells Prometheus. Thread-safe.
class PoolMetrics {
 public:
  PoolMetrics(observe::MetricRegistry& registry, const std::string& model);

  /// Adds a member, in order; both outlive this.
  void add(observe::MetricRegistry& registry, const Member& member, const CircuitBreaker& breaker);
  void count(std::size_t member, Outcome outcome) {
    attempts_[member][static_cast<std::size_t>(outcome)]->add();
  }

  observe::Counter& retries;
  observe::Counter& retries_refused;
  observe::Counter& resumed;
  observe::Counter& not_resumed;
  observe::Counter& fallbacks;

 private:
  std::string model_;
  std::vector<std::array<observe::Counter*, 4>> attempts_;
  std::vector<std::shared_ptr<void>> gauges_;
};

}  // namespace autoglm::gateway
