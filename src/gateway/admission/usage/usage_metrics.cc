#include "gateway/admission/usage/usage_metrics.h"

#include "gateway/admission/usage/usage_totals.h"

namespace autoglm::gateway {

UsageMetrics::UsageMetrics(observe::MetricRegistry& registry)
    : registry_(registry),
      unrecorded_(registry.counter("autoglm_usage_unrecorded_total",
                                   "Calls whose record of usage the journal refused.")) {}

UsageMetrics::Counters UsageMetrics::make(std::string_view tenant) {
  const auto tokens = [&](const char* kind) -> observe::Counter& {
    return registry_.counter("autoglm_usage_tokens_total",
                             "Tokens that calls have used; cached ones are part of the prompts'.",
                             {{"tenant", std::string(tenant)}, {"kind", kind}});
  };
  return {.requests = registry_.counter("autoglm_usage_requests_total",
                                        "Calls that an endpoint worked for, cut ones included.",
                                        {{"tenant", std::string(tenant)}}),
          .prompt = tokens("prompt"),
          .cached = tokens("cached"),
          .completion = tokens("completion")};
}

const UsageMetrics::Counters& UsageMetrics::of(std::string_view tenant) {
  const std::lock_guard lock(mutex_);
  auto found = tenants_.find(tenant);
  if (found != tenants_.end()) return found->second;
  const std::string_view shown = tenants_.size() < kMostTenants ? tenant : UsageTotals::kOthers;
  found = tenants_.find(shown);
  if (found == tenants_.end()) found = tenants_.try_emplace(std::string(shown), make(shown)).first;
  return found->second;
}

void UsageMetrics::add(const UsageRecord& record) {
  const Counters& counters = of(record.tenant);
  counters.requests.add();
  counters.prompt.add(record.prompt_tokens);
  counters.cached.add(record.cached_tokens);
  counters.completion.add(record.completion_tokens);
}

}  // namespace autoglm::gateway
