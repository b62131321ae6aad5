#pragma once

#include "base/result.h"
#include "inference/unary_request.h"

#include <span>
#include <string>
#include <string_view>

namespace autoglm::protocol::vllm {

/// POST /tokenize: {"model"?, "prompt" | "messages", "add_special_tokens"?, "return_token_strs"?}, with a
/// prompt "parse_special"?, with messages what else makes a chat's prompt; llama-server's {"content",
/// "add_special"?, "with_pieces"?}, too.
struct TokenizeCall {
  std::string model;  ///< empty: the default
  TokenizeRequest work;
  bool with_pieces = false;  ///< each token with its text
};
Result<TokenizeCall> decode_tokenize(std::string_view body);
/// {"count", "max_model_len", "tokens"}, and "token_strs" where they were asked for.
std::string tokenize_body(const TokenizeResult& result, bool with_pieces = false);

/// POST /detokenize: {"model"?, "tokens"}.
struct DetokenizeCall {
  std::string model;
  DetokenizeRequest work;
};
Result<DetokenizeCall> decode_detokenize(std::string_view body);
/// {"prompt": text}.
std::string detokenize_body(std::string_view text);

/// The client's side: what one process of this program asks another, and the answers. Errors of the readers:
/// kInvalidArgument, what is wrong with the answer.
std::string tokenize_call(const TokenizeRequest& request);
Result<TokenizeResult> read_tokenize_result(std::string_view body);
std::string detokenize_call(std::span<const TokenId> tokens);
Result<DetokenizeResult> read_detokenize_result(std::string_view body);

}  // namespace autoglm::protocol::vllm
