#pragma once

#include "base/clock.h"

#include <array>
#include <cstdint>

namespace autoglm::engine {

/// What steps take, learnt from those that were done: a fixed part, and so much for each row of a stream and
/// of a prompt, of which a prompt's are cheaper in steps of at least `tile_rows`. A Kalman filter over these
/// four, so that a mixed step teaches what is known least: with prompts always at hand there may never be a
/// step of streams alone. One step that took much longer (another process, a page fault) moves little.
class StepCost {
 public:
  explicit StepCost(std::uint32_t tile_rows) : tile_rows_(tile_rows) {}

  void observe(std::uint32_t decode_rows, std::uint32_t prefill_rows, Duration took);

  /// Of a step with so many streams' rows, before any prompt's.
  Duration without_prompts(std::uint32_t decode_rows) const;
  /// Of one more row of a prompt in a small step, and in one of at least `tile_rows`; guesses until such
  /// steps have been measured.
  Duration prefill_row() const;
  Duration tiled_row() const;
  bool knows_tiles() const { return knows_tiles_; }
  /// Tiles are at least 10 % cheaper, as far as one knows.
  bool tiles_pay() const;
  /// How many of `missing` rows of prompts fit this time, beside so many streams' rows; or more than those.
  std::uint32_t prompt_rows_in(Duration time, std::uint32_t decode_rows, std::uint32_t missing) const;

 private:
  enum Part : std::uint8_t { kFixed, kDecodeRow, kPrefillRow, kTiledRow, kParts };
  using Vector = std::array<double, kParts>;

  void begin(double took, double rows);
  void drift();

  std::uint32_t tile_rows_;
  std::uint64_t observed_ = 0;
  bool knows_small_ = false;
  bool knows_tiles_ = false;
  Vector cost_{};    // milliseconds
  Vector unsure_{};  // standard deviations at most, milliseconds
  std::array<Vector, kParts> covariance_{};
};

}  // namespace autoglm::engine
