#include "engine/scheduler/step_cost.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace autoglm::engine {

namespace {

// How far a step's time strays from its cost, as a share; and how far costs drift from step to step. Together
// they make a cost follow its last eight or so measurements.
constexpr double kNoise = 0.15;
constexpr double kDrift = 0.02;
// After this many steps a step counts as at most twice its expected time.
constexpr std::uint64_t kTrusted = 8;
// Cost of a row before anything is known, in milliseconds.
constexpr double kFirstGuess = 1;
// Rows that are multiplied in one pass, and the size of a pass for the remaining rows.
constexpr std::uint32_t kPass = 16;
constexpr std::uint32_t kShortPass = 4;
// The extra cost of an odd row, as a share of a row.
constexpr double kOddGuess = 0.33;
// Cells are counted in thousands, so that a unit costs about as much as a row.
constexpr double kCells = 1000;
// Every so many steps the apparently more expensive kind is tried, or its cost would never be learnt.
constexpr std::uint64_t kTryOther = 16;
constexpr double kLeast = 0.001;  // milliseconds; minimum of a part that must cost something

Duration of_milliseconds(double ms) {
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double, std::milli>(ms));
}

}  // namespace

/// The whole first step could be due to its rows or to its fixed part.
void StepCost::begin(double took, double rows) {
  const double row = std::max(took / rows, kLeast);
  cost_ = {0, row, row, row * kOddGuess, 0};
  unsure_ = {std::max(took, kLeast), row, row, row / 2, row / 2};
  for (std::size_t i = 0; i < kParts; ++i) covariance_[i][i] = unsure_[i] * unsure_[i];
}

void StepCost::drift() {
  for (std::size_t i = 0; i < kParts; ++i) {
    const double of = i == kOddRow ? cost_[kPrefillRow] : cost_[i];
    const double by = kDrift * std::max(of, i == kFixed ? kDrift * unsure_[i] : kLeast);
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

void StepCost::observe(const StepRows& rows, Duration took) {
  if (rows.decode + rows.prefill == 0) return;
  const double measured = std::chrono::duration<double, std::milli>(took).count();
  if (observed_++ == 0) begin(measured, rows.decode + rows.prefill);
  const Vector has = parts_of(rows);
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
    cost_[i] += gain[i] / variance * surprise;
    for (std::size_t j = 0; j < kParts; ++j) covariance_[i][j] -= gain[i] * gain[j] / variance;
  }
  bound();
  drift();
}

void StepCost::change_pace(double times) {
  for (std::size_t i = 0; i < kParts; ++i) {
    cost_[i] *= times;
    unsure_[i] *= times;
    for (std::size_t j = 0; j < kParts; ++j) covariance_[i][j] *= times * times;
  }
}

/// No cost is negative. The amount by which one would be negative also moves the others, in proportion to
/// their covariance: merely cut off, it would be missing from every step's sum, and the others would wander.
void StepCost::bound() {
  const auto least = [](std::size_t part) { return part == kPrefillRow ? kLeast : 0; };
  for (std::size_t i = 0; i < kParts; ++i) {
    if (cost_[i] >= least(i) || covariance_[i][i] <= 0) continue;
    const double short_of = (least(i) - cost_[i]) / covariance_[i][i];
    for (std::size_t j = 0; j < kParts; ++j) cost_[j] += covariance_[j][i] * short_of;
  }
  for (std::size_t i = 0; i < kParts; ++i) cost_[i] = std::max(cost_[i], least(i));
}

StepCost::Vector StepCost::parts_of(const StepRows& rows) const {
  return {1, double(rows.decode), double(rows.prefill), double(odd_rows(rows.decode + rows.prefill)),
          double(rows.cells) / kCells};
}

std::uint32_t StepCost::odd_rows(std::uint32_t rows) const {
  return tile_rows_ == 0 ? rows % kPass : (tile_rows_ - rows % tile_rows_) % tile_rows_;
}

double StepCost::milliseconds(const StepRows& rows) const {
  if (observed_ == 0) return kFirstGuess * rows.prefill;
  const Vector has = parts_of(rows);
  return std::inner_product(has.begin(), has.end(), cost_.begin(), 0.0);
}

Duration StepCost::step(const StepRows& rows) const { return of_milliseconds(milliseconds(rows)); }

std::uint32_t StepCost::prompt_rows_in(Duration time, std::uint32_t decode_rows, std::uint32_t most,
                                       std::uint32_t depth) const {
  const double ms = std::chrono::duration<double, std::milli>(time).count();
  const auto cost = [&](std::uint32_t rows) {
    return milliseconds(StepRows::of_prompt(decode_rows, rows, depth));
  };
  const auto is_even = [&](std::uint32_t rows) { return odd_rows(decode_rows + rows) == 0; };
  std::uint32_t best = 0;
  std::uint32_t other = 0;  // the best number of the other kind, which is smaller
  for (std::uint32_t rows = kShortPass - decode_rows % kShortPass; rows <= most; rows += kShortPass) {
    if (cost(rows) > ms) continue;
    if (best != 0 && cost(rows) * best > cost(best) * rows) continue;
    if (is_even(rows) != is_even(best)) other = best;
    best = rows;
  }
  return observed_ % kTryOther == 0 && other != 0 ? other : best;
}

}  // namespace autoglm::engine
