#pragma once

#include "gateway/admission/admission_check.h"
#include "gateway/admission/groups/bulkhead_set.h"
#include "observe/metrics/registry.h"

#include <atomic>
#include <memory>
#include <vector>

namespace autoglm::gateway {

/// Gives a call a place at its model, and lets it wait while the model has as many requests as it may: by
/// configuration, or as found out from the time to the first token. A call of a model without a limit passes.
/// `metrics` and `clock` outlive the check and its permits.
class ModelCheck final : public AdmissionCheck {
 public:
  /// `clock`: null: that of the loops.
  explicit ModelCheck(observe::MetricRegistry& metrics, const Clock* clock = nullptr)
      : models_(kModelBulkhead, metrics, clock) {}

  Task<Result<std::unique_ptr<Permit>>> admit(const AdmissionFacts& facts) override;

  /// Takes the models with a limit, by name; any thread. See BulkheadSet::apply.
  void apply(const std::vector<BulkheadConfig>& models);
  bool limits_any() const { return limits_any_.load(std::memory_order_relaxed); }

 private:
  BulkheadSet models_;
  std::atomic<bool> limits_any_{false};
};

}  // namespace autoglm::gateway
