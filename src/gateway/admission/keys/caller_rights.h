#pragma once

#include "gateway/admission/admission_check.h"

namespace autoglm::gateway {

/// Whether the caller's key allows the model and the priority that a call asks for. Without keys all calls
/// pass. Errors: kPermissionDenied.
class CallerRights final : public AdmissionCheck {
 public:
  Task<Result<std::unique_ptr<Permit>>> admit(const AdmissionFacts& facts) override;
};

}  // namespace autoglm::gateway
