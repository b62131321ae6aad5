#pragma once

#include "gateway/protocol/openai/generate_fields.h"

#include <cstddef>
#include <vector>

namespace autoglm::protocol::openai {

/// "prompt" as completions and vLLM's generate take it: a string, a list of token ids, or a list of these.
Result<void> read_prompts(const JsonValue& value, GenerateBody& body);

/// The same, of at most `most` prompts.
Result<void> read_prompt_list(const JsonValue& value, std::size_t most, std::vector<Prompt>& prompts);

/// Applies the other fields to the prompts, once all are read: `parse_special`, `suffix`.
Result<void> settle_prompts(GenerateBody& body);
Result<void> read_parse_special(const JsonValue& value, GenerateBody& body);
Result<void> read_suffix(const JsonValue& value, GenerateBody& body);

/// `{"token_ids": [1, 2], "created": 1700000000}`: what another instance has generated, for several choices a
/// list each, and when it began.
Result<void> read_resume(const JsonValue& value, GenerateBody& body);

/// Appends a list of token ids to `tokens`.
Result<void> read_token_list(const JsonValue& value, std::vector<TokenId>& tokens);

}  // namespace autoglm::protocol::openai
