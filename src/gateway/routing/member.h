#pragma once

#include "base/strong_id.h"
#include "cluster/membership/member_state.h"
#include "inference/endpoint.h"

#include <cstdint>
#include <memory>
#include <string>

namespace autoglm::gateway {

/// Tells the endpoints of a model apart: an address has its own, which no other ever gets.
using MemberId = StrongId<struct MemberIdTag>;

/// One endpoint of a pool, as balancers see it: its configuration and its state. A slot of a pool's list may
/// be empty: it has no endpoint, and a state that is never enabled.
struct Member {
  std::shared_ptr<cluster::MemberState> state;
  Endpoint* endpoint;  ///< lives as long as `state`; null: an empty slot
  MemberId id = {};
  std::uint32_t weight = 1;
  bool backup = false;                     ///< asked only when no other can be
  std::uint32_t max_connections = 0;       ///< 0: unlimited
  Duration slow_start = Duration::zero();  ///< after it came back

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
