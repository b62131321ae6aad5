#pragma once

#include "base/clock.h"
#include "base/result.h"

#include <cstdint>

namespace autoglm::gateway {

/// How a limit counts what was taken.
enum class RateAlgorithm : std::uint8_t {
  kTokenBucket,    ///< up to `burst` at once, refilled steadily
  kLeakyBucket,    ///< the same, and takes beyond it may wait for their turn
  kSlidingWindow,  ///< at most `amount` in any span of `period`
};

/// One limit: `amount` units (requests, tokens) per `period`.
struct RateSpec {
  static constexpr std::uint64_t kMostAmount = std::uint64_t{1} << 63U;
  static constexpr Duration kShortestPeriod = std::chrono::milliseconds(1);
  static constexpr Duration kLongestPeriod = std::chrono::hours(24 * 366);

  std::uint64_t amount = 1;
  Duration period = std::chrono::seconds(1);
  std::uint64_t burst = 0;  ///< units that may be taken at once, buckets only; 0: `amount`
  RateAlgorithm algorithm = RateAlgorithm::kTokenBucket;
  std::uint32_t queue = 0;  ///< units beyond the burst that may wait, leaky bucket only

  bool operator==(const RateSpec&) const = default;

  /// The most that one take may ask for.
  std::uint64_t most_at_once() const { return burst == 0 ? amount : burst; }
};

/// Names the first field that is out of range, or that its algorithm does not have. The limiters need a spec
/// that passes.
Result<void> validate(const RateSpec& spec);

}  // namespace autoglm::gateway
