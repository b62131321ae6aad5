#pragma once

#include "cluster/membership/member_state.h"
#include "gateway/endpoint/http_endpoint.h"
#include "gateway/resilience/circuit_breaker.h"
#include "gateway/resilience/verdict.h"
#include "gateway/routing/member.h"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

namespace autoglm::gateway {

/// How often something happened at one endpoint. One atomic, where a metric of the process has a cell for
/// each thread: of ten thousand endpoints, those would be the larger part of a member's memory. Thread-safe.
class EndpointCount {
 public:
  void add() { value_.fetch_add(1, std::memory_order_relaxed); }
  std::uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

/// All that is remembered of an endpoint of a model. Outlives memberships and configurations that name it.
/// Thread-safe.
struct EndpointRecord {
  EndpointRecord(MemberId its_id, std::string shown, const BreakerConfig& breaker_config)
      : id(its_id), state(std::move(shown)), breaker(breaker_config) {}

  void count(Outcome outcome) { attempts[static_cast<std::size_t>(outcome)].add(); }

  const MemberId id;
  cluster::MemberState state;
  std::shared_ptr<std::atomic<ServerKind>> kind =
      std::make_shared<std::atomic<ServerKind>>(ServerKind::kUnknown);
  CircuitBreaker breaker;
  EndpointCount ejections;
  std::array<EndpointCount, kOutcomes> attempts;
};

}  // namespace autoglm::gateway
