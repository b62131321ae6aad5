#pragma once

#include "gateway/admission/admission_check.h"

namespace autoglm::gateway {

/// Whether the caller's key allows the priority that a call asks for; ModelDirectory keeps callers to their
/// models. Without keys all calls pass. Errors: kPermissionDenied.
class CallerRights final : public AdmissionCheck {
 public:
  Task<Result<std::unique_ptr<Permit>>> admit(const AdmissionFacts& facts) override;
};

}  // namespace autoglm::gateway
