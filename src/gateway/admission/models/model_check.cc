#include "gateway/admission/models/model_check.h"

namespace autoglm::gateway {

Task<Result<std::unique_ptr<Permit>>> ModelCheck::admit(const AdmissionFacts& facts) {
  // Calls without a stream take no place in an engine.
  if (!limits_any() || facts.request == nullptr) co_return std::unique_ptr<Permit>();
  co_return co_await models_.enter(facts.model, facts.context.tenant, facts);
}

void ModelCheck::apply(const std::vector<BulkheadConfig>& models) {
  models_.apply(models);
  limits_any_.store(!models.empty(), std::memory_order_relaxed);
}

}  // namespace autoglm::gateway
