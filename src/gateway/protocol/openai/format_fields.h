#pragma once

#include "gateway/protocol/openai/generate_fields.h"

#include <span>

namespace autoglm::protocol::openai {

/// What binds an answer's text, under the names that OpenAI, vLLM and llama-server have for it: a schema, a
/// grammar, a regular expression, a list of answers. One of them at a time.
std::span<const JsonField<GenerateBody>> format_fields();

}  // namespace autoglm::protocol::openai
