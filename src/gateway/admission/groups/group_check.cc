#include "gateway/admission/groups/group_check.h"

namespace autoglm::gateway {

GroupCheck::GroupCheck(const std::vector<GroupConfig>& groups, observe::MetricRegistry& metrics)
    : groups_(kGroupBulkhead, metrics) {
  apply(groups);
}

Task<Result<std::unique_ptr<Permit>>> GroupCheck::admit(const AdmissionFacts& facts) {
  const CallerPtr& caller = facts.context.caller;
  if (!caller || caller->group.empty()) co_return std::unique_ptr<Permit>();
  co_return co_await groups_.enter(caller->group, caller->tenant, facts);
}

void GroupCheck::apply(const std::vector<GroupConfig>& groups) {
  std::vector<BulkheadConfig> bulkheads;
  for (const GroupConfig& each : groups) {
    // Requests of a group that has a part of engines alone wait there.
    if (each.concurrent == 0) continue;
    bulkheads.push_back({.name = each.name, .concurrent = each.concurrent, .queue = each.queue});
  }
  groups_.apply(bulkheads);
}

}  // namespace autoglm::gateway
