#pragma once

#include "base/clock.h"

#include <cstdint>
#include <string>

namespace autoglm::gateway {

/// Requests that wait while all places are taken.
struct BulkheadQueue {
  std::uint32_t size = 100;
  Duration timeout = std::chrono::seconds(5);

  bool operator==(const BulkheadQueue&) const = default;
};

/// What a bulkhead stands in front of: the words of its errors and metrics.
struct BulkheadKind {
  const char* noun;
  const char* full;     ///< the reason of an error: the line is full
  const char* timeout;  ///< likewise: there was no place in time
};
inline constexpr BulkheadKind kGroupBulkhead{"group", "group_full", "group_timeout"};
inline constexpr BulkheadKind kModelBulkhead{"model", "model_full", "model_timeout"};

struct BulkheadConfig {
  std::string name;
  std::uint32_t concurrent = 0;  ///< requests at a time; 0: no limit
  BulkheadQueue queue = {};
  /// The limit is found out, from the time to the first token; `concurrent` bounds it.
  bool adaptive = false;

  bool operator==(const BulkheadConfig&) const = default;
};

}  // namespace autoglm::gateway
