#pragma once

#include "gateway/protocol/json/fields.h"
#include "inference/request.h"

#include <span>
#include <string>

namespace autoglm::protocol::openai {

/// What the bodies of completions, chat and vLLM's generate share: filled by the field tables, turned into a
/// DecodedCall by the codec.
struct GenerateBody {
  std::string model;
  GenerateRequest work;
  bool has_prompt = false;
  bool stream = false;
  std::uint8_t priority = 0;
  bool include_usage = false;
  bool include_event_ids = false;
  bool logprobs = false;         ///< chat's flag; completions say how many at once
  char stream_delimiter = '\0';  ///< of vLLM's /generate
};

/// model, stream, n, stop, seed, sampling, limits: OpenAI's fields and the ones vLLM adds to them.
std::span<const JsonField<GenerateBody>> generate_fields();

/// OpenAI's fields that change the answer and that this server does not honour: refused when they ask for
/// something, accepted at their neutral value. Never ignored in silence.
std::span<const JsonField<GenerateBody>> unsupported_fields();

/// What `logprobs` and `top_logprobs` of the two APIs mean, once both are read.
Result<void> settle_logprobs(GenerateBody& body);

/// Completions' `logprobs`: how many of the likeliest tokens.
Result<void> read_logprobs_count(const JsonValue& value, GenerateBody& body);
/// Chat's `logprobs`, a flag, and `top_logprobs`.
Result<void> read_logprobs_flag(const JsonValue& value, GenerateBody& body);
Result<void> read_top_logprobs(const JsonValue& value, GenerateBody& body);

/// "prompt" as completions and vLLM's generate take it: a string or a list of token ids.
Result<void> read_prompt(const JsonValue& value, Prompt& prompt);

}  // namespace autoglm::protocol::openai
