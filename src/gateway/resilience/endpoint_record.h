#pragma once

#include "gateway/endpoint/http_endpoint.h"
#include "gateway/resilience/circuit_breaker.h"
#include "gateway/resilience/verdict.h"
#include "gateway/resilience/waiting_line.h"
#include "gateway/routing/member.h"
#include "http/url.h"
#include "observe/metrics/registry.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

namespace autoglm::gateway {

/// All that is remembered of an endpoint of a model. Outlives memberships and configurations that name it.
/// Thread-safe.
struct EndpointRecord {
  EndpointRecord(observe::MetricRegistry& registry, const std::string& model, MemberId its_id,
                 std::string shown, const BreakerConfig& breaker_config);

  void count(Outcome outcome) { attempts[static_cast<std::size_t>(outcome)]->add(); }

  const MemberId id;
  cluster::MemberState state;
  std::shared_ptr<std::atomic<ServerKind>> kind =
      std::make_shared<std::atomic<ServerKind>>(ServerKind::kUnknown);
  CircuitBreaker breaker;
  observe::Counter& ejections;
  std::array<observe::Counter*, kOutcomes> attempts;
  std::vector<std::shared_ptr<void>> gauges;  // last: they read the above
};

/// What tells the endpoints of a model apart.
inline std::string address_of(const http::Url& api) { return api.origin() + api.target; }

/// The records of a model's endpoints, by address: a membership that names an endpoint again finds its
/// record, which is forgotten once no list and no request refers to it. Used by one thread.
class EndpointRecords {
 public:
  EndpointRecords(observe::MetricRegistry& registry, std::string model)
      : registry_(registry), model_(std::move(model)) {}

  /// Of an API's address. `breaker` configures a record that is new.
  std::shared_ptr<EndpointRecord> of(const http::Url& api, const BreakerConfig& breaker);
  /// The requests that wait for a place at one of the endpoints.
  const std::shared_ptr<WaitingLine>& line() const { return line_; }
  /// Forgets the records that have no other owner.
  void sweep();
  std::size_t size() const { return records_.size(); }

 private:
  std::string name_for(const http::Url& api) const;

  observe::MetricRegistry& registry_;
  std::string model_;
  std::shared_ptr<WaitingLine> line_ = std::make_shared<WaitingLine>(0);
  std::unordered_map<std::string, std::shared_ptr<EndpointRecord>> records_;
  std::unordered_set<std::string> names_;  // of the records
  MemberId last_id_;
};

}  // namespace autoglm::gateway
