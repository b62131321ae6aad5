#pragma once

#include "inference/endpoint.h"

#include <atomic>
#include <cstdint>
#include <string>
#include <utility>

namespace autoglm::gateway {

/// One endpoint of a pool, as balancers see it. Shared by all loops: what changes is atomic.
struct Member {
  Member(std::string shown, Endpoint& target, std::uint32_t share = 1)
      : name(std::move(shown)), endpoint(target), weight(share) {}

  const std::string name;  ///< for logs, metrics and headers
  Endpoint& endpoint;      ///< outlives the pool
  const std::uint32_t weight;
  bool backup = false;                ///< asked only when no other can be
  std::uint32_t max_connections = 0;  ///< 0: unlimited

  std::atomic<std::uint32_t> in_flight{0};  ///< requests of ours that it works on
  std::atomic<bool> healthy{true};          ///< by the last checks
  std::atomic<bool> enabled{true};          ///< by the operator
  std::atomic<std::uint32_t> in_flight_at_report{0};

  /// Sequences that it runs and queues: what it said last, and what we have sent it since.
  std::uint32_t load() const {
    const LoadReport report = endpoint.load();
    const std::uint32_t ours = in_flight.load(std::memory_order_relaxed);
    const std::uint32_t then = in_flight_at_report.load(std::memory_order_relaxed);
    return report.running + report.waiting + (ours > then ? ours - then : 0);
  }
};

/// A request that a member works on, until it is reset or destroyed.
class InFlight {
 public:
  InFlight() = default;
  explicit InFlight(Member& member) : member_(&member) {
    member.in_flight.fetch_add(1, std::memory_order_relaxed);
  }
  ~InFlight() { reset(); }
  InFlight(InFlight&& other) noexcept : member_(std::exchange(other.member_, nullptr)) {}
  InFlight& operator=(InFlight&& other) noexcept {
    std::swap(member_, other.member_);
    return *this;
  }

  void reset() {
    if (Member* member = std::exchange(member_, nullptr))
      member->in_flight.fetch_sub(1, std::memory_order_relaxed);
  }

 private:
  Member* member_ = nullptr;
};

}  // namespace autoglm::gateway
