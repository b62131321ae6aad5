#pragma once

#include "config/descriptor.h"
#include "gateway/admission/groups/bulkhead_config.h"
#include "inference/group_shares.h"

#include <cstdint>
#include <string>
#include <vector>

namespace autoglm::gateway {

/// One of `groups:`, callers that share places at the door, parts of engines, or both.
struct GroupConfig {
  std::string name;
  std::uint32_t concurrent = 0;  ///< requests at a time; 0: no limit
  std::string share = {};        ///< of each engine, guaranteed, such as "50%"; empty: none
  std::string max = {};          ///< of each engine, at most; empty: all
  double weight = 0;             ///< against other groups; 0: unset
  BulkheadQueue queue;

  bool operator==(const GroupConfig&) const = default;
};

/// The groups that own parts of engines: those with `share`, `max` or `weight`. The configuration is valid.
LiveGroupShares::Table shares_of(const std::vector<GroupConfig>& groups);
/// What is wrong with the shares of all groups together.
std::vector<config::Violation> check_shares(const std::vector<GroupConfig>& groups);

config::Descriptor<GroupConfig> describe_group();

}  // namespace autoglm::gateway
