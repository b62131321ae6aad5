#pragma once

#include "gateway/protocol/codec.h"
#include "gateway/protocol/openai/generate_fields.h"

#include <memory>

namespace autoglm::protocol::openai {

enum class AnswerShape : std::uint8_t { kCompletion, kChat };

/// The call that `body` describes, with the encoder of its answer: a document, or a stream of
/// server-sent events.
DecodedCall make_call(GenerateBody body, AnswerShape shape, std::uint32_t unknown_fields);

}  // namespace autoglm::protocol::openai
