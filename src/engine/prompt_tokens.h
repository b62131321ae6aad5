#pragma once

#include "base/result.h"
#include "engine/backends/backend.h"
#include "inference/request.h"

#include <vector>

namespace autoglm::engine {

/// The texts before and after the gap, in the order that the model was trained on. Errors: kInvalidArgument
/// for a model without infill tokens.
Result<std::vector<TokenId>> infill_tokens(const Backend& backend, const TextPrompt& prompt,
                                           bool add_special);

/// Truncates a prompt's `tokens` as the request demands. Returns whether anything was cut off.
bool truncate_prompt(const Backend& backend, const GenerateRequest& work, std::vector<TokenId>& tokens);

/// The request's bad words, each as it may begin an answer and as it appears after a space. Errors:
/// kInvalidArgument for too many.
Result<std::vector<std::vector<TokenId>>> bad_tokens_of(const Backend& backend, const GenerateRequest& work);

}  // namespace autoglm::engine
