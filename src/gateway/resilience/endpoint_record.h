#pragma once

#include "gateway/endpoint/http_endpoint.h"
#include "gateway/resilience/circuit_breaker.h"
#include "gateway/resilience/verdict.h"
#include "gateway/resilience/waiting_line.h"
#include "gateway/routing/member.h"
#include "observe/metrics/registry.h"

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace autoglm::gateway {

/// All that is remembered of an endpoint of a model. Outlives changes of the configuration. Thread-safe.
struct EndpointRecord {
  EndpointRecord(observe::MetricRegistry& registry, const std::string& model, std::string shown,
                 const BreakerConfig& breaker_config);

  void count(Outcome outcome) { attempts[static_cast<std::size_t>(outcome)]->add(); }

  MemberState state;
  std::shared_ptr<std::atomic<ServerKind>> kind =
      std::make_shared<std::atomic<ServerKind>>(ServerKind::kUnknown);
  CircuitBreaker breaker;
  observe::Counter& ejections;
  std::array<observe::Counter*, kOutcomes> attempts;
  std::vector<std::shared_ptr<void>> gauges;  // last: they read the above
};

/// The records of a model's endpoints, by address: a configuration that names an endpoint again finds its
/// record. Used by one thread.
class EndpointRecords {
 public:
  EndpointRecords(observe::MetricRegistry& registry, std::string model)
      : registry_(registry), model_(std::move(model)) {}

  /// `url` tells endpoints apart, `shown` is the name for people; `breaker` configures a record that is new.
  std::shared_ptr<EndpointRecord> of(const std::string& url, const std::string& shown,
                                     const BreakerConfig& breaker);
  /// The requests that wait for a place at one of the endpoints.
  const std::shared_ptr<WaitingLine>& line() const { return line_; }
  /// Forgets the records that have no other owner.
  void sweep();

 private:
  observe::MetricRegistry& registry_;
  std::string model_;
  std::shared_ptr<WaitingLine> line_ = std::make_shared<WaitingLine>(0);
  std::map<std::string, std::shared_ptr<EndpointRecord>> records_;
};

}  // namespace autoglm::gateway
