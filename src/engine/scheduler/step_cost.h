#pragma once

#include "base/clock.h"

#include <array>
#include <cstdint>

namespace autoglm::engine {

/// What a step computes, as far as its time depends on it.
struct StepRows {
  std::uint32_t decode = 0;   ///< of streams
  std::uint32_t prefill = 0;  ///< of prompts
  std::uint64_t cells = 0;    ///< that the prompts' rows look at, each row's counted

  /// Beside so many streams' rows, so many of a prompt behind its first `depth` tokens.
  static StepRows of_prompt(std::uint32_t decode, std::uint32_t prefill, std::uint32_t depth) {
    return {decode, prefill, cells_of(prefill, depth)};
  }
  static std::uint64_t cells_of(std::uint64_t prefill, std::uint64_t depth) {
    return prefill * depth + prefill * (prefill + 1) / 2;
  }
};

/// What steps take, learnt from those that were done: a fixed part, so much for each row of a stream and of a
/// prompt, for each cell that a prompt's row looks at, and for each odd row. Many formats' matrices are
/// multiplied by 16 rows in one pass over the weights, and by those that are left in a pass for every four:
/// these are odd. Where the CPU has tiles, a pass is a tile, full or not: odd are rows that are wanting. A
/// Kalman filter over these, so that a mixed step teaches what is known least: with prompts always at hand
/// there may never be a step of streams alone. One step that took much longer (another process, a page fault)
/// moves little.
class StepCost {
 public:
  /// `tile_rows`: a power of two; 0: no tiles.
  explicit StepCost(std::uint32_t tile_rows = 0) : tile_rows_(tile_rows) {}

  void observe(const StepRows& rows, Duration took);
  /// From now on every step takes this many times what it took.
  void change_pace(double times);

  /// Of such a step; a guess until one has been measured.
  Duration step(const StepRows& rows) const;
  /// How many rows of a prompt, behind its first `depth` tokens and `most` at most, to read beside so many
  /// streams' rows in a step of this time: those that are cheapest, each.
  std::uint32_t prompt_rows_in(Duration time, std::uint32_t decode_rows, std::uint32_t most,
                               std::uint32_t depth) const;

 private:
  enum Part : std::uint8_t { kFixed, kDecodeRow, kPrefillRow, kOddRow, kCell, kParts };
  using Vector = std::array<double, kParts>;

  void begin(double took, double rows);
  void bound();
  void drift();
  double milliseconds(const StepRows& rows) const;
  Vector parts_of(const StepRows& rows) const;
  std::uint32_t odd_rows(std::uint32_t rows) const;

  std::uint32_t tile_rows_;
  std::uint64_t observed_ = 0;
  Vector cost_{};    // milliseconds
  Vector unsure_{};  // standard deviations at most, milliseconds
  std::array<Vector, kParts> covariance_{};
};

}  // namespace autoglm::engine
