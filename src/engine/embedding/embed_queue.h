#pragma once

#include "engine/generation_id.h"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace autoglm::engine {

/// The sequences that wait to be computed, and which of them make the next step. Requests of the highest
/// priority go first; among equals each gives a sequence in turn, so that a request with thousands of texts
/// does not delay one with a single text. Pure.
class EmbedQueue {
 public:
  /// A sequence of a request, by its place among the request's sequences.
  struct Pick {
    GenerationId id;
    std::size_t sequence;
  };

  /// No step has more tokens or sequences than these; a longer sequence is a step of its own.
  EmbedQueue(std::uint32_t max_tokens, std::uint32_t max_sequences)
      : max_tokens_(max_tokens), max_sequences_(max_sequences) {}

  /// `lengths`: tokens of each sequence.
  void add(GenerationId id, std::uint8_t priority, std::vector<std::uint32_t> lengths);
  /// Forgets what is left of a request.
  void remove(GenerationId id);

  /// The next step's sequences; plans the same again until they are taken.
  std::vector<Pick> plan() const;
  /// They are computed. The requests that gave some go behind their equals that gave none.
  void take(const std::vector<Pick>& picks);

  bool empty() const { return requests_.empty(); }
  /// Tokens that wait.
  std::uint64_t tokens() const { return tokens_; }

 private:
  struct Request {
    GenerationId id;
    std::uint8_t priority;
    std::vector<std::uint32_t> lengths;
    std::size_t next = 0;
  };

  std::uint32_t max_tokens_;
  std::uint32_t max_sequences_;
  std::vector<Request> requests_;  // in the order of their turns
  std::uint64_t tokens_ = 0;
};

}  // namespace autoglm::engine
