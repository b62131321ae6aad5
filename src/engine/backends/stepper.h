#pragma once

#include "engine/kv/kv_operation.h"
#include "inference/request.h"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

namespace autoglm::engine {

/// One row of a step: a token at a position of a sequence.
struct BatchRow {
  TokenId token = 0;
  std::int32_t position = 0;  ///< in its sequence
  std::int32_t sequence = 0;  ///< the sequence's id in the cache: 0 … sequence_ids-1
  bool wants_logits = false;
};

enum class DecodeStatus : std::uint8_t {
  kOk,
  kNoRoom,   ///< the cache cannot hold the step; nothing was changed
  kAborted,  ///< it was told to stop; cells of the step may or may not exist: remove them
  kFailed,   ///< the step could not be computed; cells as with kAborted
};

/// Tells a running step that it is no longer wanted. Thread-safe. Stays set until it is cleared.
class StopFlag {
 public:
  void set() { set_.store(true, std::memory_order_relaxed); }
  void clear() { set_.store(false, std::memory_order_relaxed); }
  bool is_set() const { return set_.load(std::memory_order_relaxed); }

 private:
  std::atomic<bool> set_{false};
};

struct StepperFacts {
  std::uint32_t context_length = 0;  ///< tokens of one sequence
  std::uint32_t cache_cells = 0;     ///< tokens of all sequences together
  std::uint32_t max_sequences = 0;   ///< rows of one step that may want logits
  std::uint32_t sequence_ids = 0;    ///< sequences that the cache can tell apart
  bool shares_prefixes = false;      ///< whether cells may belong to several sequences permanently
  std::uint64_t cell_bytes = 0;      ///< size of a saved token, approximately; 0: nothing can be saved
  std::uint32_t restore_slack = 0;   ///< cells that a kRestore may briefly need beyond those that it fills
  std::uint32_t max_batch = 0;       ///< rows of one step
  std::uint32_t threads = 1;         ///< the most threads that may compute a step
  std::uint32_t tile_rows = 0;       ///< rows that a matrix multiplication takes at a time; 0: no tiles
};

/// A model's weights and its key-value cache: rows of tokens in, logits out. Belongs to the engine's thread,
/// which alone creates, calls and destroys it; it needs no locks. The calls are few a step: `decode` once,
/// `apply` for each change of the cache, `logits` for each token that is chosen.
class Stepper {
 public:
  virtual ~Stepper() = default;

  virtual const StepperFacts& facts() const = 0;

  /// Computes a step on `threads` threads, the caller's included: 1 … facts().threads. Returns kAborted soon
  /// after `stop` is set.
  virtual DecodeStatus decode(std::span<const BatchRow> rows, std::uint32_t threads,
                              const StopFlag& stop) = 0;
  /// The logits of row `row` of the last step, which must have asked for them: one for each token of the
  /// vocabulary. Valid until the next step; the caller may change them.
  virtual std::span<float> logits(std::size_t row) = 0;
  /// Shares, forgets, saves or restores cells. If a restore fails, the next step of its sequence fails.
  virtual void apply(const KvOperation& operation) = 0;
};

}  // namespace autoglm::engine
