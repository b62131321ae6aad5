#include "gateway/resilience/pool_metrics.h"

#include <functional>
#include <utility>

namespace autoglm::gateway {

namespace {
constexpr std::array kOutcomes = {"ok", "failed", "timeout", "refused"};
}

PoolMetrics::PoolMetrics(observe::MetricRegistry& registry, const std::string& model)
    : retries(registry.counter("autoglm_retries_total", "Requests that were asked of a further endpoint.",
                               {{"model", model}})),
      retries_refused(registry.counter("autoglm_retries_refused_total",
                                       "Retries that the budget did not allow.", {{"model", model}})),
      resumed(registry.counter("autoglm_resumes_total",
                               "Streams that broke, by whether another endpoint went on.",
                               {{"model", model}, {"outcome", "ok"}})),
      not_resumed(registry.counter("autoglm_resumes_total",
                                   "Streams that broke, by whether another endpoint went on.",
                                   {{"model", model}, {"outcome", "failed"}})),
      fallbacks(registry.counter("autoglm_fallbacks_total", "Requests that another model answered.",
                                 {{"model", model}})),
      model_(model) {}

void PoolMetrics::add(observe::MetricRegistry& registry, const Member& member,
                      const CircuitBreaker& breaker) {
  const observe::Labels labels = {{"model", model_}, {"endpoint", member.name}};
  auto& counters = attempts_.emplace_back();
  for (std::size_t i = 0; i < kOutcomes.size(); ++i) {
    observe::Labels own = labels;
    own.emplace_back("outcome", kOutcomes[i]);
    counters[i] = &registry.counter("autoglm_endpoint_attempts_total",
                                    "Requests to an endpoint, by how they ended.", own);
  }
  const auto gauge = [&](const char* name, const char* help, std::function<double()> read) {
    gauges_.push_back(
        registry.callback(observe::MetricRegistry::Kind::kGauge, name, help, labels, std::move(read)));
  };
  gauge("autoglm_endpoint_in_flight", "Requests that an endpoint works on.",
        [&member] { return member.in_flight.load(); });
  gauge("autoglm_endpoint_healthy", "1: the last checks succeeded.",
        [&member] { return member.healthy.load() ? 1.0 : 0.0; });
  gauge("autoglm_breaker_state", "0: closed, 1: open, 2: half open.",
        [&breaker] { return static_cast<double>(breaker.state()); });
}

}  // namespace autoglm::gateway
