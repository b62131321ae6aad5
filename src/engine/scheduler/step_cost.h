#pragma once

#include "base/clock.h"

#include <array>
#include <cstdint>

namespace autoglm::engine {

/// What steps take, learnt from those that were done: a fixed part, so much for each row of a stream and of a
/// prompt, and so much more for each row beyond a multiple of 16: many formats' matrices are multiplied by
/// 16 rows in one pass over the weights, and by those that are left in a pass for every four. A Kalman filter
/// over these, so that a mixed step teaches what is known least: with prompts always at hand there may never
/// be a step of streams alone. One step that took much longer (another process, a page fault) moves little.
class StepCost {
 public:
  void observe(std::uint32_t decode_rows, std::uint32_t prefill_rows, Duration took);

  /// Of a step with so many rows of streams and of prompts; a guess until one has been measured.
  Duration step(std::uint32_t decode_rows, std::uint32_t prefill_rows) const;
  /// How many rows of prompts, `most` at most, to read beside so many streams' rows in a step of this time:
  /// those that are cheapest, each.
  std::uint32_t prompt_rows_in(Duration time, std::uint32_t decode_rows, std::uint32_t most) const;

 private:
  enum Part : std::uint8_t { kFixed, kDecodeRow, kPrefillRow, kOddRow, kParts };
  using Vector = std::array<double, kParts>;

  void begin(double took, double rows);
  void drift();
  double milliseconds(std::uint32_t decode_rows, std::uint32_t prefill_rows) const;
  static Vector parts_of(std::uint32_t decode_rows, std::uint32_t prefill_rows);

  std::uint64_t observed_ = 0;
  Vector cost_{};    // milliseconds
  Vector unsure_{};  // standard deviations at most, milliseconds
  std::array<Vector, kParts> covariance_{};
};

}  // namespace autoglm::engine
