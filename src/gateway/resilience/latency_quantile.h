#pragma once

#include "base/clock.h"

#include <array>
#include <cstdint>
#include <optional>

namespace autoglm::gateway {

/// Learns a quantile of times: counts in buckets a quarter of an octave wide, halved now and then so that the
/// last thousand or so decide. Belongs to a loop.
class LatencyQuantile {
 public:
  void observe(Duration time);
  /// The time that `percentile` of a hundred stay below; nothing before there are enough observations.
  std::optional<Duration> at(std::uint32_t percentile) const;

 private:
  static constexpr std::size_t kBuckets = 128;  // from 1 µs to 71 minutes
  static constexpr std::uint32_t kEnough = 50;
  static constexpr std::uint32_t kMany = 2000;

  std::array<std::uint32_t, kBuckets> counts_{};
  std::uint32_t total_ = 0;
};

}  // namespace autoglm::gateway
