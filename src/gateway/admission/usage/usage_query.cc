#include "gateway/admission/usage/usage_query.h"

namespace autoglm::gateway {

UsageSums& UsageSums::operator+=(const UsageSums& other) {
  requests += other.requests;
  cut += other.cut;
  prompt_tokens += other.prompt_tokens;
  cached_tokens += other.cached_tokens;
  completion_tokens += other.completion_tokens;
  cost += other.cost;
  return *this;
}

UsageSums sums_of(const UsageRecord& record) {
  return {.requests = 1,
          .cut = record.outcome == UsageOutcome::kCut ? 1U : 0U,
          .prompt_tokens = record.prompt_tokens,
          .cached_tokens = record.cached_tokens,
          .completion_tokens = record.completion_tokens,
          .cost = record.cost};
}

}  // namespace autoglm::gateway
