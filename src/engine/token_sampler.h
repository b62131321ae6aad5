#pragma once

#include "engine/backends/token_constraint.h"
#include "inference/request.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

namespace autoglm::engine {

/// Chooses tokens for one choice of one request. Belongs to the engine's thread.
class TokenSampler {
 public:
  virtual ~TokenSampler() = default;

  /// The next token after `logits` (of the whole vocabulary; changed). `index` counts the tokens of the
  /// choice: the draw is a function of seed, choice and index alone, so that a generation does not depend on
  /// other requests and can be continued on any machine. Nothing: no token is allowed.
  virtual std::optional<TokenId> sample(std::span<float> logits, std::uint64_t index) = 0;
  /// Tells the penalties which token was chosen.
  virtual void accept(TokenId token) = 0;
};

struct SamplerSetup {
  SamplingParams params;
  std::uint64_t seed;
  std::uint32_t choice;
  std::uint32_t vocabulary_size;
  std::span<const std::pair<TokenId, float>> logit_bias;
  std::span<const TokenId> allowed;              ///< no other tokens; empty: all. Must outlive the sampler
  std::span<const std::vector<TokenId>> banned;  ///< forbidden in this order. Must outlive the sampler
  std::span<const TokenId> prompt;               ///< counted by repetition_penalty, as in vLLM
  std::span<const TokenId> answer;  ///< generated before: for penalties; `constraint` has accepted it already
  std::unique_ptr<TokenConstraint> constraint;
};
using SamplerFactory = std::function<std::unique_ptr<TokenSampler>(SamplerSetup)>;

}  // namespace autoglm::engine
