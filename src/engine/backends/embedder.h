#pragma once

#include "engine/backends/stepper.h"
#include "inference/request.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace autoglm::engine {

struct EmbedderFacts {
  std::uint32_t context_length = 0;  ///< tokens of one sequence
  std::uint32_t max_batch = 0;       ///< tokens of one step; at least `context_length`
  std::uint32_t max_sequences = 0;   ///< of one step
  std::uint32_t outputs = 0;         ///< numbers that each sequence gives
  std::uint32_t threads = 1;         ///< the most threads that may compute a step
};

/// A model that reads whole sequences and gives numbers for each: a vector, or for a ranking model the
/// probability that a document answers a query. It keeps nothing between steps. Belongs to the engine's
/// thread, which alone creates, calls and destroys it.
class Embedder {
 public:
  virtual ~Embedder() = default;

  virtual const EmbedderFacts& facts() const = 0;

  /// Computes a step on `threads` threads, the caller's included: 1 … facts().threads. The sequences are not
  /// empty, and keep to the facts. Returns kAborted soon after `stop` is set.
  virtual DecodeStatus compute(std::span<const std::span<const TokenId>> sequences, std::uint32_t threads,
                               const StopFlag& stop) = 0;
  /// The numbers of a sequence of the last step; valid until the next one.
  virtual std::span<const float> output(std::size_t sequence) = 0;
};

/// How a query and a document become one sequence for a ranking model.
struct PairFormat {
  std::vector<TokenId> before, between, after;  ///< the two texts
  std::string text;  ///< with "{query}" and "{document}"; not empty: it replaces the tokens above
};

}  // namespace autoglm::engine
