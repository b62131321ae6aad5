#pragma once

#include "engine/backends/vocabulary.h"
#include "inference/events.h"

#include <cstdint>
#include <span>
#include <vector>

namespace autoglm::engine {

/// The model's own log-probabilities of one step, from the logits before biases, penalties, grammar and
/// temperature, which samplers change afterwards.
class Logprobs {
 public:
  /// Keeps the `top` likeliest tokens, at most 20, and copies what it needs.
  Logprobs(std::span<const float> logits, std::uint32_t top);

  /// The report about a chosen token; `vocabulary` supplies its bytes.
  GeneratedLogprob of(TokenId token, const Vocabulary& vocabulary) const;

 private:
  std::vector<float> logits_;
  std::vector<TokenId> top_;  // likeliest first
  double normalizer_ = 0;     // log of the sum of exponentials
};

}  // namespace autoglm::engine
