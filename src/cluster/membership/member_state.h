#pragma once

#include "cluster/health/endpoint_health.h"

#include <atomic>
#include <cstdint>
#include <string>
#include <utility>

namespace autoglm::cluster {

/// What is known of an endpoint, for as long as any membership names it, or a request uses it. Shared by all
/// loops.
struct MemberState {
  explicit MemberState(std::string shown) : name(std::move(shown)) {}

  // First the fields that each pick reads, of many members: what a pick costs is its cache misses.
  std::atomic<std::uint32_t> in_flight{0};  ///< requests of ours that it works on
  std::atomic<bool> enabled{true};          ///< false: drained by the operator
  /// Sequences that it runs and queues, by its last report, and our requests in flight at that report.
  std::atomic<std::uint32_t> reported{0};
  std::atomic<std::uint32_t> in_flight_at_report{0};
  EndpointHealth health;
  const std::string name;  ///< for logs, metrics and headers
};

}  // namespace autoglm::cluster
