#pragma once

#include "gateway/admission/rate/rate_spec.h"

#include <array>

namespace autoglm::gateway {

/// A limit as a client may be told of it.
struct RateState {
  std::uint64_t limit = 0;      ///< units that an unused limiter has
  std::uint64_t remaining = 0;  ///< units that a take would be admitted for now
  Duration reset{};             ///< until it is as if unused, if nothing else happens
};

/// A limiter's state for a journal; it names no clock. Buckets: `used` begins with the whole units of debt,
/// and the rest in units of 1/period. Sliding window: the counts of its sub-windows, the newest first.
struct SavedRate {
  RateAlgorithm algorithm = RateAlgorithm::kTokenBucket;
  Duration period = std::chrono::seconds(1);
  Duration into{};  ///< sliding window: since its newest sub-window began
  std::array<std::uint64_t, 16> used{};

  bool operator==(const SavedRate&) const = default;
};

}  // namespace autoglm::gateway
