#pragma once

#include "base/clock.h"

#include <array>
#include <cstdint>

namespace autoglm::engine {

/// What steps take, learnt from those that were done: a fixed part, and so much for each row of a stream and
/// of a prompt. A Kalman filter over these three, so that a mixed step teaches what is known least: with
/// prompts always at hand there may never be a step of streams alone. One step that took much longer (another
/// process, a page fault) moves little.
class StepCost {
 public:
  void observe(std::uint32_t decode_rows, std::uint32_t prefill_rows, Duration took);

  /// Of a step with so many streams' rows, before any prompt's.
  Duration without_prompts(std::uint32_t decode_rows) const;
  /// Of one more row of a prompt; a guess until one has been measured.
  Duration prefill_row() const;
  /// How many rows of prompts fit this time.
  std::uint32_t prompt_rows_in(Duration time) const;

 private:
  enum Part : std::uint8_t { kFixed, kDecodeRow, kPrefillRow, kParts };
  using Vector = std::array<double, kParts>;

  void begin(double took, double rows);
  void drift();

  std::uint64_t observed_ = 0;
  Vector cost_{};    // milliseconds
  Vector unsure_{};  // standard deviations at most, milliseconds
  std::array<Vector, kParts> covariance_{};
};

}  // namespace autoglm::engine
