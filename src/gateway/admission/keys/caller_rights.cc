#include "gateway/admission/keys/caller_rights.h"

#include <fmt/format.h>

namespace autoglm::gateway {

Task<Result<std::unique_ptr<Permit>>> CallerRights::admit(const AdmissionFacts& facts) {
  const Caller* caller = facts.context.caller.get();
  if (caller == nullptr) co_return nullptr;
  if (facts.context.priority > caller->priority) {
    co_return fail(
        Error{.code = ErrorCode::kPermissionDenied,
              .origin = Origin::kClient,
              .message = fmt::format("the key \"{}\" allows priorities up to {}, and {} was asked for",
                                     caller->key, caller->priority, facts.context.priority),
              .param = "priority",
              .reason = "priority_not_allowed"});
  }
  co_return nullptr;
}

}  // namespace autoglm::gateway
