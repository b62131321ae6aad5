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

/// The records of a model's endpoints, by address: whoever names one again finds what was known of it. Used
/// by one thread.
class EndpointRecords {
 public:
  EndpointRecords(observe::MetricRegistry& registry, std::string model)
      : registry_(registry), model_(std::move(model)) {}

  /// `url` is what tells endpoints apart; `shown` what people call it; `breaker` is for one that is new.
  std::shared_ptr<EndpointRecord> of(const std::string& url, const std::string& shown,
                                     const BreakerConfig& breaker);
  /// Who waits for a place at one of them.
  const std::shared_ptr<WaitingLine>& line() const { return line_; }
  /// Forgets those that nobody else holds.
  void sweep();

 private:
  observe::MetricRegistry& registry_;
  std::string model_;
  std::shared_ptr<WaitingLine> line_ = std::make_shared<WaitingLine>(0);
  std::map<std::string, std::shared_ptr<EndpointRecord>> records_;
};

}  // namespace autoglm::gateway
