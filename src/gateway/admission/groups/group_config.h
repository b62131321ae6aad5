#pragma once

#include "base/clock.h"
#include "config/descriptor.h"

#include <cstdint>
#include <string>

namespace autoglm::gateway {

/// Requests of a group that wait while the group is full.
struct GroupQueueConfig {
  std::uint32_t size = 100;
  Duration timeout = std::chrono::seconds(5);

  bool operator==(const GroupQueueConfig&) const = default;
};

/// One of `groups:`, the callers that share a number of places.
struct GroupConfig {
  std::string name;
  std::uint32_t concurrent = 0;  ///< requests at a time, at least 1
  GroupQueueConfig queue;

  bool operator==(const GroupConfig&) const = default;
};

config::Descriptor<GroupConfig> describe_group();

}  // namespace autoglm::gateway
