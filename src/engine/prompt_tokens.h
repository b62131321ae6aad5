#pragma once

#include "base/result.h"
#include "engine/backends/backend.h"
#include "inference/request.h"

#include <vector>

namespace autoglm::engine {

/// What stands before the gap and behind it, in the order that models learn it in. Errors: kInvalidArgument,
/// for a model that has no tokens for that.
Result<std::vector<TokenId>> infill_tokens(const Backend& backend, const TextPrompt& prompt,
                                           bool add_special);

/// Cuts a prompt's `tokens` as the request has it. Whether there was something to cut off.
bool truncate_prompt(const Backend& backend, const GenerateRequest& work, std::vector<TokenId>& tokens);

/// The request's bad words: each as it may begin an answer, and as it stands behind a space. Errors:
/// kInvalidArgument, for too many.
Result<std::vector<std::vector<TokenId>>> bad_tokens_of(const Backend& backend, const GenerateRequest& work);

}  // namespace autoglm::engine
