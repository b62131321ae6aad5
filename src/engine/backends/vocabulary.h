#pragma once

#include "base/result.h"
#include "inference/request.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace autoglm::engine {

/// Tokens around the texts before and after a gap; the answer, which fills the gap, follows `middle`.
struct InfillTokens {
  TokenId prefix = 0;
  TokenId suffix = 0;
  TokenId middle = 0;
};

struct VocabularyFacts {
  std::uint32_t size = 0;           ///< tokens are 0 … size-1
  std::uint32_t longest_token = 0;  ///< the most bytes of text that one token may stand for; 0: unknown
  bool adds_bos = false;            ///< then even an empty prompt is one token long
  std::optional<InfillTokens> infill = std::nullopt;  ///< absent: the model was not trained for infilling
};

/// A model's tokens: text to tokens and back. Immutable and thread-safe. Requests that are being prepared
/// share it, so it may outlive the engine.
class Vocabulary {
 public:
  virtual ~Vocabulary() = default;

  virtual const VocabularyFacts& facts() const = 0;

  /// `parse_special`: whether special tokens written in `text` become those tokens (templates) or stay text.
  /// Errors: kInvalidArgument for text that cannot be split into tokens.
  virtual Result<std::vector<TokenId>> tokenize(std::string_view text, bool add_special,
                                                bool parse_special) const = 0;
  /// The bytes of a token, which may be part of a character; special tokens have none.
  virtual std::string_view piece(TokenId token) const = 0;
  /// The token as the vocabulary spells it, special tokens included: "<|im_end|>", "Ġhello".
  virtual std::string_view written(TokenId token) const { return piece(token); }
  /// The tokens that end a generation, in ascending order; without them only limits and stop texts end one.
  virtual std::span<const TokenId> end_tokens() const { return {}; }
  virtual bool ends_generation(TokenId token) const {
    return std::ranges::binary_search(end_tokens(), token);
  }
};

}  // namespace autoglm::engine
