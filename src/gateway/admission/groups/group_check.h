#pragma once

#include "gateway/admission/admission_check.h"
#include "gateway/admission/groups/group_config.h"
#include "gateway/admission/rate/striped.h"
#include "observe/metrics/registry.h"

#include <memory>
#include <mutex>
#include <string_view>
#include <vector>

namespace autoglm::gateway {

/// Gives a call a place in its caller's group, and lets it wait while the group is full. A call without a
/// caller, or whose caller has no group or one that is not configured, passes. Tenants take turns by what
/// their calls cost, in tokens as estimated from the request. `metrics` outlives the check and its permits.
class GroupCheck final : public AdmissionCheck {
 public:
  GroupCheck(const std::vector<GroupConfig>& groups, observe::MetricRegistry& metrics);
  ~GroupCheck() override;

  Task<Result<std::unique_ptr<Permit>>> admit(const AdmissionFacts& facts) override;

  /// Takes the groups of a new configuration, whose names differ; any thread. Groups that are still there
  /// change for their waiters, too. A group that is gone admits its waiters at once; the places that its
  /// calls hold count again should it come back before they end.
  void apply(const std::vector<GroupConfig>& groups);

 private:
  struct Group;
  class Held;

  std::shared_ptr<Group> find(std::string_view name);

  observe::MetricRegistry& metrics_;
  std::mutex mutex_;
  BySubject<std::shared_ptr<Group>> groups_;  // and those that are gone, while calls of theirs run
};

}  // namespace autoglm::gateway
