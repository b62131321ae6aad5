#include "engine/scheduler/shares/share_split.h"

#include <algorithm>

namespace autoglm::engine {

namespace {

// Groups without a share get this beside shares of 100 %, so that they go on at all.
constexpr double kSmallestPart = 0.01;
constexpr int kHalvings = 60;

double part_at(const SharePart& part, double level) {
  const double least = std::max(part.share, kSmallestPart);
  return std::clamp(level * part.weight, least, std::max(part.max, least));
}

}  // namespace

std::vector<double> split_by_shares(std::span<const SharePart> parts) {
  const auto sum_at = [parts](double level) {
    double sum = 0;
    for (const SharePart& part : parts) sum += part_at(part, level);
    return sum;
  };
  double high = 1;
  for (const SharePart& part : parts) high = std::max(high, 1 / part.weight);
  double low = 0;
  // The sum grows with the level, so halving finds the level at which it is 1.
  for (int i = 0; i < kHalvings; ++i) {
    const double middle = (low + high) / 2;
    (sum_at(middle) < 1 ? low : high) = middle;
  }
  std::vector<double> out;
  out.reserve(parts.size());
  for (const SharePart& part : parts) out.push_back(part_at(part, high));
  return out;
}

}  // namespace autoglm::engine
