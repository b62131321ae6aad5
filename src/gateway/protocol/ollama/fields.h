#pragma once

#include "gateway/protocol/codec.h"
#include "gateway/protocol/json/fields.h"
#include "gateway/protocol/openai/generate_fields.h"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace autoglm::protocol::ollama {

/// What the bodies of /api/chat and /api/generate share.
struct Body : openai::GenerateBody {
  Body() { stream = true; }  // Ollama streams unless told otherwise

  ChatPrompt chat;
  std::uint32_t unknown_options = 0;
  // Of /api/generate:
  std::string prompt;
  std::string system;
  bool raw = false;
};

/// model, stream, options, format, think, keep_alive, logprobs: the fields that both have.
std::span<const JsonField<Body>> shared_fields();

/// "messages": roles, text, thinking, tool calls with arguments that are objects, and tools' answers, which
/// name their tool.
Result<void> read_messages(const JsonValue& value, Body& body);
/// "tools": as OpenAI has them.
Result<void> read_tools(const JsonValue& value, Body& body);

/// A field that only other values than these ask for something: `null`, "", [], {}.
Result<void> refuse_unless_empty(const JsonValue& value, std::string_view instead);

/// Settles the fields that depend on each other. Errors: those of the fields, also where OpenAI's codecs
/// leave the refusal to the endpoint: no endpoint gets these bodies.
Result<void> settle(Body& body);

/// Seconds, or a text such as "5m": how long a model stays loaded is for the configuration to say.
Result<void> check_keep_alive(const JsonValue& value);

}  // namespace autoglm::protocol::ollama
