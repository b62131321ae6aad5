#include "gateway/admission/rate/rate_spec.h"

namespace autoglm::gateway {

Result<void> validate(const RateSpec& spec) {
  if (spec.amount == 0 || spec.amount > RateSpec::kMostAmount)
    return fail(invalid_field("amount", "must be from 1 to 2^63"));
  if (spec.period < RateSpec::kShortestPeriod || spec.period > RateSpec::kLongestPeriod)
    return fail(invalid_field("period", "must be from 1 ms to 366 days"));
  if (spec.burst > RateSpec::kMostAmount) return fail(invalid_field("burst", "must be at most 2^63"));
  if (spec.burst != 0 && spec.algorithm == RateAlgorithm::kSlidingWindow)
    return fail(invalid_field("burst", "a sliding window has none: leave it out, or choose a bucket"));
  if (spec.queue != 0 && spec.algorithm != RateAlgorithm::kLeakyBucket)
    return fail(invalid_field("queue", "only a leaky bucket has one: leave it out, or choose that"));
  return {};
}

}  // namespace autoglm::gateway
