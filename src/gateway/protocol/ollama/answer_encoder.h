#pragma once

#include "gateway/protocol/codec.h"
#include "gateway/protocol/ollama/fields.h"

#include <cstdint>
#include <string>

namespace autoglm::protocol::ollama {

enum class AnswerShape : std::uint8_t { kChat, kGenerate };

/// The call of a body that has been read and settled.
DecodedCall make_call(Body body, AnswerShape shape, bool asks_nothing, std::uint32_t unknown_fields);

/// "2026-11-30T15:04:05.123456Z".
std::string timestamp(std::int64_t unix_seconds, Duration later = {});

/// `"total_duration":…,"load_duration":0,…`: nanoseconds and counts. A model's load is never a request's
/// work here; the prompt's time goes from the request to its first token, waiting included.
void append_metrics(std::string& out, const Usage& usage, Duration first_token, Duration total);

}  // namespace autoglm::protocol::ollama
