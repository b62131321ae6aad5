#include "gateway/resilience/latency_quantile.h"

#include <algorithm>
#include <cmath>

namespace autoglm::gateway {

namespace {
constexpr double kPerOctave = 4;
}

void LatencyQuantile::observe(Duration time) {
  const double microseconds = std::max(1.0, std::chrono::duration<double, std::micro>(time).count());
  const auto bucket = static_cast<std::size_t>(kPerOctave * std::log2(microseconds));
  ++counts_[std::min(bucket, kBuckets - 1)];
  if (++total_ < kMany) return;
  total_ = 0;
  for (auto& count : counts_) total_ += (count /= 2);
}

std::optional<Duration> LatencyQuantile::at(std::uint32_t percentile) const {
  if (total_ < kEnough) return std::nullopt;
  std::uint64_t below = 0;
  for (std::size_t bucket = 0; bucket < kBuckets; ++bucket) {
    below += counts_[bucket];
    if (below * 100 < std::uint64_t{total_} * percentile) continue;
    const std::chrono::duration<double, std::micro> upper(
        std::exp2(static_cast<double>(bucket + 1) / kPerOctave));
    return std::chrono::duration_cast<Duration>(upper);
  }
  return std::nullopt;
}

}  // namespace autoglm::gateway
