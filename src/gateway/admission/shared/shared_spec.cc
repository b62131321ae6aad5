#include "gateway/admission/shared/shared_spec.h"

#include "gateway/admission/rate/sliding_window.h"
#include "gateway/admission/rate/wide.h"

#include <algorithm>
#include <numeric>

namespace autoglm::gateway {

namespace {

// A take's sum is at most twice the room.
constexpr std::uint64_t kMostParts = std::uint64_t{1} << 52U;
constexpr std::uint64_t kLeastRate = 1000;  // where it is rounded

std::uint64_t microseconds(Duration period) {
  return static_cast<std::uint64_t>(std::chrono::ceil<std::chrono::microseconds>(period).count());
}

}  // namespace

Result<SharedSpec> SharedSpec::of(const RateSpec& spec) {
  const std::uint64_t period = microseconds(spec.period);
  SharedSpec shared{.most = spec.most_at_once()};
  const Wide room = Wide{shared.most} + spec.queue;
  if (room > kMostParts)
    return fail(invalid_field("burst", "is more than Redis can count exactly: at most 2^52"));
  shared.room = static_cast<std::uint64_t>(room);
  if (spec.algorithm == RateAlgorithm::kSlidingWindow) {
    shared.kind = 'w';
    shared.parts = (period + SlidingWindow::kSpan - 1) / SlidingWindow::kSpan;
    return shared;
  }
  shared.kind = spec.algorithm == RateAlgorithm::kLeakyBucket ? 'l' : 'b';
  const std::uint64_t common = std::gcd(spec.amount, period);
  shared.parts = period / common;
  shared.rate = spec.amount / common;
  if (room * shared.parts <= kMostParts && shared.rate <= kMostParts) return shared;
  const Wide exact_parts = shared.parts, exact_rate = shared.rate;
  shared.parts = kMostParts / shared.room;
  shared.rate =
      static_cast<std::uint64_t>(std::min<Wide>(exact_rate * shared.parts / exact_parts, kMostParts));
  if (shared.rate < kLeastRate)
    return fail(invalid_field("burst", "takes too long to refill to be counted exactly in Redis; lower it"));
  return shared;
}

std::array<std::string, 5> SharedSpec::words() const {
  return {std::string(1, kind), std::to_string(parts), std::to_string(rate), std::to_string(most),
          std::to_string(room)};
}

RateSpec share_of(const RateSpec& spec, std::uint32_t replicas) {
  RateSpec share = spec;
  const bool is_window = spec.algorithm == RateAlgorithm::kSlidingWindow;
  if (is_window || spec.amount % replicas == 0 || spec.period > RateSpec::kLongestPeriod / replicas) {
    share.amount = std::max<std::uint64_t>(spec.amount / replicas, 1);
  } else {
    share.period = spec.period * replicas;
  }
  if (!is_window) share.burst = std::max<std::uint64_t>(spec.most_at_once() / replicas, 1);
  share.queue = spec.queue / replicas;
  return share;
}

}  // namespace autoglm::gateway
