#pragma once

#include "gateway/admission/admission_check.h"
#include "gateway/admission/groups/bulkhead_set.h"
#include "gateway/admission/groups/group_config.h"
#include "observe/metrics/registry.h"

#include <memory>
#include <vector>

namespace autoglm::gateway {

/// Gives a call a place in its caller's group, and lets it wait while the group is full. A call without a
/// caller, or whose caller has no group or one without `concurrent`, passes. `metrics` outlives the check and
/// its permits.
class GroupCheck final : public AdmissionCheck {
 public:
  GroupCheck(const std::vector<GroupConfig>& groups, observe::MetricRegistry& metrics);

  Task<Result<std::unique_ptr<Permit>>> admit(const AdmissionFacts& facts) override;

  /// Takes the groups of a new configuration, whose names differ; any thread. See BulkheadSet::apply.
  void apply(const std::vector<GroupConfig>& groups);

 private:
  BulkheadSet groups_;
};

}  // namespace autoglm::gateway
