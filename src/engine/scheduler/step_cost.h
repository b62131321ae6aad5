#pragma once

#include "base/clock.h"

#include <array>
#include <cstdint>

namespace autoglm::engine {

/// The properties of a step that determine its time.
struct StepRows {
  std::uint32_t decode = 0;   ///< of generating sequences
  std::uint32_t prefill = 0;  ///< of prompts
  std::uint64_t cells = 0;    ///< cells that the prompts' rows read, summed over the rows

  /// `decode` rows of streams, and `prefill` rows of a prompt after its first `depth` tokens.
  static StepRows of_prompt(std::uint32_t decode, std::uint32_t prefill, std::uint32_t depth) {
    return {decode, prefill, cells_of(prefill, depth)};
  }
  static std::uint64_t cells_of(std::uint64_t prefill, std::uint64_t depth) {
    return prefill * depth + prefill * (prefill + 1) / 2;
  }
};

/// Learns how long steps take from those that were done: a fixed part, and a cost for each row of a stream
/// and of a prompt, for each cell that a prompt's row reads, and for each odd row. Many formats' matrices are
/// multiplied by 16 rows in one pass over the weights, and the remaining rows in one pass for every four:
/// these are odd. On a CPU with tiles a pass is a tile, full or not; there the missing rows are odd. A Kalman
/// filter over these costs makes a mixed step teach the least known one: with prompts always at hand there
/// may never be a step of streams alone. A single step that took much longer (another process, a page fault)
/// changes little.
class StepCost {
 public:
  /// `tile_rows`: a power of two; 0: no tiles.
  explicit StepCost(std::uint32_t tile_rows = 0) : tile_rows_(tile_rows) {}

  void observe(const StepRows& rows, Duration took);
  /// From now on every step takes `times` as long as before.
  void change_pace(double times);

  /// The expected time of such a step; a guess until one has been measured.
  Duration step(const StepRows& rows) const;
  /// How many rows of a prompt, after its first `depth` tokens and at most `most`, to read beside
  /// `decode_rows` rows of streams in a step of this time: the number with the lowest cost per row.
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
  Vector unsure_{};  // upper bounds of the standard deviations, in milliseconds
  std::array<Vector, kParts> covariance_{};
};

}  // namespace autoglm::engine
