#pragma once

#include "base/result.h"
#include "inference/endpoint.h"

#include <string>
#include <string_view>
#include <vector>

namespace autoglm::protocol::vllm {

/// POST /tokenize: {"model"?, "prompt" | "messages", "add_special_tokens"?}.
struct TokenizeCall {
  std::string model;  ///< empty: the default
  TokenizeRequest work;
};
Result<TokenizeCall> decode_tokenize(std::string_view body);
/// {"count", "max_model_len", "tokens"}.
std::string tokenize_body(const TokenizeResult& result);

/// POST /detokenize: {"model"?, "tokens"}.
struct DetokenizeCall {
  std::string model;
  std::vector<TokenId> tokens;
};
Result<DetokenizeCall> decode_detokenize(std::string_view body);
/// {"prompt": text}.
std::string detokenize_body(std::string_view text);

}  // namespace autoglm::protocol::vllm
