#pragma once

#include "base/result.h"
#include "engine/backends/chat_format.h"
#include "engine/backends/vocabulary.h"
#include "inference/request.h"

#include <cstdint>
#include <vector>

namespace autoglm::engine {

/// The texts before and after the gap, in the order that the model was trained on. Errors: kInvalidArgument
/// for a model without infill tokens.
Result<std::vector<TokenId>> infill_tokens(const Vocabulary& vocabulary, const TextPrompt& prompt,
                                           bool add_special);

/// The tokens of a rendered conversation. Text from the template may hold control tokens, text from the
/// conversation may not.
Result<std::vector<TokenId>> chat_tokens(const Vocabulary& vocabulary, const RenderedChat& chat,
                                         bool add_special);

/// Truncates a prompt's `tokens` as the request demands. Returns whether anything was cut off.
bool truncate_prompt(std::uint32_t context_length, const GenerateRequest& work, std::vector<TokenId>& tokens);

/// The request's bad words, each as it may begin an answer and as it appears after a space. Errors:
/// kInvalidArgument for too many.
Result<std::vector<std::vector<TokenId>>> bad_tokens_of(const Vocabulary& vocabulary,
                                                        const GenerateRequest& work);

}  // namespace autoglm::engine
