#include "engine/scheduler/step_cost.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace autoglm::engine {

namespace {

// How far a step's time strays from what it costs, as a share; and how far costs drift from step to step. The
// two together make a cost follow its last eight or so measurements.
constexpr double kNoise = 0.15;
constexpr double kDrift = 0.02;
// Once so many steps have been seen, one is believed up to twice of what was expected.
constexpr std::uint64_t kTrusted = 8;
// Before anything is known.
constexpr double kFirstGuess = 1;
constexpr double kLeast = 0.001;

Duration of_milliseconds(double ms) {
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double, std::milli>(ms));
}

}  // namespace

/// All of the first step could be its rows or its fixed part.
void StepCost::begin(double took, double rows) {
  const double row = std::max(took / rows, kLeast);
  cost_ = {0, row, row};
  unsure_ = {std::max(took, kLeast), row, row};
  for (std::size_t i = 0; i < kParts; ++i) covariance_[i][i] = unsure_[i] * unsure_[i];
}

void StepCost::drift() {
  for (std::size_t i = 0; i < kParts; ++i) {
    const double by = kDrift * std::max(cost_[i], i == kFixed ? kDrift * unsure_[i] : kLeast);
    covariance_[i][i] += by * by;
    const double widest = std::max(unsure_[i], cost_[i]);
    const double most = widest * widest;
    if (covariance_[i][i] <= most) continue;
    const double shrink = std::sqrt(most / covariance_[i][i]);
    for (std::size_t j = 0; j < kParts; ++j) {
      covariance_[i][j] *= shrink;
      covariance_[j][i] *= shrink;
    }
  }
}

void StepCost::observe(std::uint32_t decode_rows, std::uint32_t prefill_rows, Duration took) {
  const std::uint32_t rows = decode_rows + prefill_rows;
  if (rows == 0) return;
  const double measured = std::chrono::duration<double, std::milli>(took).count();
  if (observed_++ == 0) begin(measured, rows);
  const Vector has = {1, double(decode_rows), double(prefill_rows)};
  double expected = 0;
  Vector gain{};
  double variance = 0;
  for (std::size_t i = 0; i < kParts; ++i) {
    expected += has[i] * cost_[i];
    for (std::size_t j = 0; j < kParts; ++j) gain[i] += covariance_[i][j] * has[j];
    variance += has[i] * gain[i];
  }
  const double noise = kNoise * std::max(expected, kLeast);
  variance += noise * noise;
  double surprise = measured - expected;
  if (observed_ > kTrusted) surprise = std::min(surprise, expected);
  for (std::size_t i = 0; i < kParts; ++i) {
    cost_[i] =
        std::max(cost_[i] + gain[i] / variance * surprise, i == kFixed || i == kDecodeRow ? 0 : kLeast);
    for (std::size_t j = 0; j < kParts; ++j) covariance_[i][j] -= gain[i] * gain[j] / variance;
  }
  drift();
}

Duration StepCost::without_prompts(std::uint32_t decode_rows) const {
  return of_milliseconds(cost_[kFixed] + cost_[kDecodeRow] * decode_rows);
}

Duration StepCost::prefill_row() const {
  return of_milliseconds(observed_ == 0 ? kFirstGuess : cost_[kPrefillRow]);
}

std::uint32_t StepCost::prompt_rows_in(Duration time) const {
  return static_cast<std::uint32_t>(std::clamp<Duration::rep>(time / std::max(prefill_row(), Duration(1)), 0,
                                                              std::numeric_limits<std::uint32_t>::max()));
}

}  // namespace autoglm::engine
