#pragma once

#include "base/result.h"
#include "inference/events.h"

#include <simdjson.h>

namespace autoglm::protocol::openai {

/// Reads what a choice of a chunk says beside text, reasoning, token ids and its end: tool calls and
/// logprobs. An id of the vocabulary is told for chosen tokens only; other tokens get negative numbers.
/// Errors: kBadGateway, for a tool call that no request can have.
Result<void> decode_choice(const simdjson::dom::element& choice, TokenEvent& event);

}  // namespace autoglm::protocol::openai
