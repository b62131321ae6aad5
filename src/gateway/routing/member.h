#pragma once

#include "cluster/health/endpoint_health.h"
#include "inference/endpoint.h"

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

namespace autoglm::gateway {

/// What is known of an endpoint, for as long as any configuration names it. Shared by all loops.
struct MemberState {
  explicit MemberState(std::string shown) : name(std::move(shown)) {}

  // First the fields that each pick reads, of many members: what a pick costs is its cache misses.
  std::atomic<std::uint32_t> in_flight{0};  ///< requests of ours that it works on
  std::atomic<bool> enabled{true};          ///< false: drained by the operator
  /// Sequences that it runs and queues, by its last report, and our requests in flight at that report.
  std::atomic<std::uint32_t> reported{0};
  std::atomic<std::uint32_t> in_flight_at_report{0};
  cluster::EndpointHealth health;
  const std::string name;  ///< for logs, metrics and headers
};

/// One endpoint of a pool, as balancers see it: its configuration and its state.
struct Member {
  std::shared_ptr<MemberState> state;
  Endpoint& endpoint;  ///< must outlive the pool
  std::uint32_t weight = 1;
  bool backup = false;                     ///< asked only when no other can be
  std::uint32_t max_connections = 0;       ///< 0: unlimited
  Duration slow_start = Duration::zero();  ///< after it came back
  cluster::FailureLimit failure_limit;

  const std::string& name() const { return state->name; }
  std::uint32_t in_flight() const { return state->in_flight.load(std::memory_order_relaxed); }
  bool full() const { return max_connections != 0 && in_flight() >= max_connections; }
  /// Counts one more request of ours, unless the member is full. Atomic, since other loops enter at the same
  /// time.
  bool enter() const {
    if (max_connections == 0) {
      state->in_flight.fetch_add(1);
      return true;
    }
    std::uint32_t seen = state->in_flight.load();
    while (seen < max_connections) {
      if (state->in_flight.compare_exchange_weak(seen, seen + 1)) return true;
    }
    return false;
  }

  /// Its share beside other members: its weight, less while it comes back.
  std::uint64_t share(MonotonicTime now) const { return weight * state->health.ramp(slow_start, now); }

  /// Sequences that it runs and queues: its last report, plus what we have sent it since.
  std::uint32_t load() const {
    const std::uint32_t ours = in_flight();
    const std::uint32_t then = state->in_flight_at_report.load(std::memory_order_relaxed);
    return state->reported.load(std::memory_order_relaxed) + (ours > then ? ours - then : 0);
  }
};

}  // namespace autoglm::gateway
