#include "gateway/resilience/endpoint_record.h"

#include <fmt/format.h>

#include <functional>
#include <utility>

namespace autoglm::gateway {

namespace {

constexpr std::array kOutcomeNames = {"ok", "failed", "timeout", "refused", "abandoned"};
static_assert(kOutcomeNames.size() == kOutcomes);

}  // namespace

EndpointRecord::EndpointRecord(observe::MetricRegistry& registry, const std::string& model, MemberId its_id,
                               std::string shown, const BreakerConfig& breaker_config)
    : id(its_id),
      state(std::move(shown)),
      breaker(breaker_config),
      ejections(registry.counter("autoglm_endpoint_ejections_total",
                                 "How often an endpoint was left out because requests to it failed.",
                                 {{"model", model}, {"endpoint", state.name}})) {
  const observe::Labels labels = {{"model", model}, {"endpoint", state.name}};
  for (std::size_t i = 0; i < kOutcomes; ++i) {
    observe::Labels own = labels;
    own.emplace_back("outcome", kOutcomeNames[i]);
    attempts[i] = &registry.counter("autoglm_endpoint_attempts_total",
                                    "Requests to an endpoint, by how they ended.", own);
  }
  const auto gauge = [&](const char* name, const char* help, std::function<double()> read) {
    gauges.push_back(
        registry.callback(observe::MetricRegistry::Kind::kGauge, name, help, labels, std::move(read)));
  };
  gauge("autoglm_endpoint_in_flight", "Requests that an endpoint works on.",
        [this] { return state.in_flight.load(); });
  gauge("autoglm_endpoint_healthy", "1: the last checks succeeded.",
        [this] { return state.health.well() ? 1.0 : 0.0; });
  gauge("autoglm_endpoint_ejected", "1: left out for a while, because requests to it failed.",
        [this] { return state.health.ejected(std::chrono::steady_clock::now()) ? 1.0 : 0.0; });
  gauge("autoglm_breaker_state", "0: closed, 1: open, 2: half open.",
        [this] { return static_cast<double>(breaker.state()); });
}

/// The name for people: without the query, which may hold a key, and as short as it can be among the others.
std::string EndpointRecords::name_for(const http::Url& api) const {
  std::string name = api.authority();
  if (names_.contains(name)) name += api.path();
  if (!names_.contains(name)) return name;
  std::size_t number = 2;
  while (names_.contains(fmt::format("{}#{}", name, number))) ++number;
  return fmt::format("{}#{}", name, number);
}

std::shared_ptr<EndpointRecord> EndpointRecords::of(const http::Url& api, const BreakerConfig& breaker) {
  auto& record = records_[address_of(api)];
  if (record) return record;
  std::string name = name_for(api);
  names_.insert(name);
  ++last_id_.value;
  record = std::make_shared<EndpointRecord>(registry_, model_, last_id_, std::move(name), breaker);
  return record;
}

void EndpointRecords::sweep() {
  std::erase_if(records_, [this](const auto& entry) {
    if (entry.second.use_count() > 1) return false;
    names_.erase(entry.second->state.name);
    return true;
  });
}

}  // namespace autoglm::gateway
