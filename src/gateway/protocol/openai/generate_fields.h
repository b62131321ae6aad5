#pragma once

#include "gateway/protocol/json/fields.h"
#include "inference/request.h"

#include <cstdint>
#include <optional>
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
  bool logprobs = false;         ///< chat's flag; completions give the number instead
  bool prompt_logprobs = false;  ///< whether to show them
  bool return_tokens = false;    ///< ids beside the text
  std::optional<std::uint32_t> max_tokens;
  std::optional<std::uint32_t> max_completion_tokens;
  std::optional<std::int32_t> n_predict;
  bool truncates = false;
  Truncation truncation;
  bool parse_special = true;  ///< in prompts that are texts
  std::string suffix;
  std::uint32_t n = 1;  ///< choices to be shown of each prompt
  std::optional<std::uint32_t> best_of;
  std::optional<std::int64_t> created;
  char stream_delimiter = '\0';  ///< of vLLM's /generate
};

/// model, stream, n, stop, seed, sampling, limits: OpenAI's fields and the ones vLLM adds to them.
std::span<const JsonField<GenerateBody>> generate_fields();

/// Notes why this program's engine cannot do what is asked; the first reason is kept.
void refuse(GenerateBody& body, Error error);
/// `neutral`: a value that asks for nothing.
Error unsupported(const std::string& field, std::string_view neutral);

/// Settles fields that depend on each other, once all are read: synonyms, logprobs, best_of, echo.
/// `max_tokens`: for a body without a limit.
Result<void> settle_fields(GenerateBody& body, std::optional<std::uint32_t> max_tokens);

/// Completions' `logprobs`: how many of the likeliest tokens.
Result<void> read_logprobs_count(const JsonValue& value, GenerateBody& body);
/// Chat's `logprobs`, a flag, and `top_logprobs`.
Result<void> read_logprobs_flag(const JsonValue& value, GenerateBody& body);
Result<void> read_top_logprobs(const JsonValue& value, GenerateBody& body);

/// Fields of completions and vLLM's generate alone.
Result<void> read_echo(const JsonValue& value, GenerateBody& body);
Result<void> read_best_of(const JsonValue& value, GenerateBody& body);

}  // namespace autoglm::protocol::openai
