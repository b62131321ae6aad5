#pragma once

#include "inference/generate_request.h"

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace autoglm {

// Requests that have one answer and no stream, each with its answer's type. A new kind is a request, an
// answer, and a place for each in the two variants below.

struct TokenizeResult {
  std::vector<TokenId> tokens;
  std::uint32_t context_length = 0;
  std::vector<std::string> texts = {};  ///< of each token, when asked for; may be a part of a character
};

struct TokenizeRequest {
  using Answer = TokenizeResult;
  Prompt prompt;                         ///< text or chat
  std::optional<bool> add_special = {};  ///< as GenerateRequest has it
  bool with_texts = false;               ///< also each token's text, as the vocabulary writes it
};

struct DetokenizeResult {
  std::string text;  ///< valid UTF-8
};

struct DetokenizeRequest {
  using Answer = DetokenizeResult;
  std::vector<TokenId> tokens;
};

struct TokenizerInfo {
  std::string json;  ///< an object
};

/// Asks for a description of the model's tokenizer.
struct TokenizerInfoRequest {
  using Answer = TokenizerInfo;
};

using UnaryRequest = std::variant<TokenizeRequest, DetokenizeRequest, TokenizerInfoRequest>;
using UnaryAnswer = std::variant<TokenizeResult, DetokenizeResult, TokenizerInfo>;

}  // namespace autoglm
