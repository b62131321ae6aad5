#pragma once

#include "gateway/protocol/openai/generate_fields.h"

#include <span>

namespace autoglm::protocol::openai {

/// Fields of OpenAI, vLLM and llama-server that change an answer and that our engine does not honour: refused
/// when they ask for something, accepted at their neutral value. None is ignored silently.
std::span<const JsonField<GenerateBody>> unsupported_fields();

/// Fields of the three that cannot change what is generated here: notes about the client, hints that only
/// make things faster, numbers for what is off.
std::span<const JsonField<GenerateBody>> ignored_fields();

}  // namespace autoglm::protocol::openai
