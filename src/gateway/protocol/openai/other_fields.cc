#include "gateway/protocol/openai/other_fields.h"

#include <algorithm>
#include <array>
#include <limits>
#include <string_view>

namespace autoglm::protocol::openai {

namespace {

/// Takes the value when it asks for nothing.
Result<void> only(bool neutral, const JsonValue& value, std::string_view shown, GenerateBody& body) {
  if (!neutral) refuse(body, unsupported(value.path(), shown));
  return {};
}

Result<void> only_false(const JsonValue& value, GenerateBody& body) {
  const auto flag = value.as_bool();
  return only(flag && !*flag, value, "false", body);
}

Result<void> only_true(const JsonValue& value, GenerateBody& body) {
  const auto flag = value.as_bool();
  return only(flag && *flag, value, "true", body);
}

/// For samplers whose state a continuation elsewhere could not rebuild, or that do not fit our draw of
/// tokens.
Result<void> only_zero(const JsonValue& value, GenerateBody& body) {
  return only(value.as_number(0, 0).has_value(), value, "0", body);
}

Result<void> only_one(const JsonValue& value, GenerateBody& body) {
  return only(value.as_integer(1, 1).has_value(), value, "1", body);
}

/// Limits that are off below a number.
Result<void> only_negative(const JsonValue& value, GenerateBody& body) {
  const auto number = value.as_number(-std::numeric_limits<double>::max(), 0);
  return only(number && *number < 0, value, "-1", body);
}

Result<void> only_up_to_zero(const JsonValue& value, GenerateBody& body) {
  return only(value.as_number(-std::numeric_limits<double>::max(), 0).has_value(), value, "0", body);
}

Result<void> only_up_to_one(const JsonValue& value, GenerateBody& body) {
  return only(value.as_integer(0, 1).has_value(), value, "0", body);
}

Result<void> only_none(const JsonValue& value, GenerateBody& body) {
  return only(false, value, "null", body);
}

Result<void> only_empty(const JsonValue& value, GenerateBody& body) {
  bool empty =
      (value.is_array() && value.item_count() == 0) || (value.is_string() && value.as_string()->empty());
  if (value.is_object()) {
    empty = true;
    (void)value.for_each_member([&](std::string_view, const JsonValue&) -> Result<void> {
      empty = false;
      return {};
    });
  }
  return only(empty, value, "null", body);
}

/// logprobs is a flag in chat and a number in completions, where even 0 asks for something.
Result<void> no_logprobs(const JsonValue& value, GenerateBody& body) {
  const auto flag = value.as_bool();
  return only(flag && !*flag, value, "null", body);
}

Result<void> no_choice(const JsonValue& value, GenerateBody& body) {
  const auto word = value.as_string();
  return only(word && (*word == "none" || *word == "auto"), value, "\"none\"", body);
}

Result<void> only_text(const JsonValue& value, GenerateBody& body) {
  const auto kinds = value.as_strings(1);
  return only(kinds && *kinds == std::vector<std::string>{"text"}, value, "[\"text\"]", body);
}

Result<void> only_medium(const JsonValue& value, GenerateBody& body) {
  const auto word = value.as_string();
  return only(word && *word == "medium", value, "\"medium\"", body);
}

Result<void> only_separate_reasoning(const JsonValue& value, GenerateBody& body) {
  const auto word = value.as_string();
  return only(word && (*word == "auto" || *word == "deepseek"), value, "\"auto\"", body);
}

constexpr auto kUnsupportedFields = std::to_array<JsonField<GenerateBody>>({
    // OpenAI's
    {"audio", only_none},
    {"best_of", only_one},
    {"echo", only_false},
    {"function_call", no_choice},
    {"functions", only_empty},
    {"logprobs", no_logprobs},
    {"modalities", only_text},
    {"reasoning_effort", only_none},
    {"suffix", only_empty},
    {"tool_choice", no_choice},
    {"tools", only_empty},
    {"top_logprobs", only_none},
    {"verbosity", only_medium},
    {"web_search_options", only_none},
    // vLLM's
    {"chat_template", only_empty},
    {"detokenize", only_true},
    {"documents", only_empty},
    {"ec_transfer_params", only_empty},
    {"guided_whitespace_pattern", only_empty},
    {"include_reasoning", only_true},
    {"kv_transfer_params", only_empty},
    {"logits_processors", only_empty},
    {"logprob_token_ids", only_empty},
    {"prompt_embeds", only_none},
    {"repetition_detection", only_none},
    {"return_prompt_text", only_false},
    {"return_tokens_as_token_ids", only_false},
    {"skip_special_tokens", only_true},
    {"structural_tag", only_empty},
    {"thinking_token_budget", only_negative},
    {"use_beam_search", only_false},
    {"vllm_xargs", only_empty},
    {"watermarking", only_false},
    // llama-server's
    {"adaptive_target", only_negative},
    {"chat_format", only_none},
    {"chat_parser", only_empty},
    {"dry_multiplier", only_zero},
    {"dynatemp_range", only_zero},
    {"generation_prompt", only_empty},
    {"grammar_lazy", only_false},
    {"grammar_triggers", only_empty},
    {"lora", only_empty},
    {"min_keep", only_up_to_one},
    {"mirostat", only_zero},
    {"mirostat_mode", only_zero},
    {"n_indent", only_zero},
    {"parse_tool_calls", only_true},
    {"post_sampling_probs", only_false},
    {"preserved_tokens", only_empty},
    {"reasoning_budget_tokens", only_negative},
    {"reasoning_control", only_false},
    {"reasoning_format", only_separate_reasoning},
    {"response_fields", only_empty},
    {"return_tokens", only_false},
    {"samplers", only_empty},
    {"t_max_predict_ms", only_up_to_zero},
    {"t_max_prompt_ms", only_up_to_zero},
    {"thinking_budget_tokens", only_negative},
    {"xtc_probability", only_zero},
});

Result<void> ignore(const JsonValue& /*value*/, GenerateBody& /*body*/) { return {}; }

constexpr auto kIgnoredFields = std::to_array<JsonField<GenerateBody>>({
    // OpenAI's: notes about the client; a prediction only makes the answer faster.
    {"metadata", ignore},
    {"prediction", ignore},
    {"prompt_cache_key", ignore},
    {"prompt_cache_retention", ignore},
    {"safety_identifier", ignore},
    {"service_tier", ignore},
    {"store", ignore},
    {"user", ignore},
    // vLLM's: about beams, images and experts, which do not exist here; how a text is cut into frames.
    {"early_stopping", ignore},
    {"guided_decoding_backend", ignore},
    {"length_penalty", ignore},
    {"media_io_kwargs", ignore},
    {"mm_processor_kwargs", ignore},
    {"request_id", ignore},
    {"return_mm_kwargs", ignore},
    {"return_token_offsets", ignore},
    {"routed_experts_prompt_start", ignore},
    {"session_id", ignore},
    {"spaces_between_special_tokens", ignore},
    {"stream_interval", ignore},
    // llama-server's: of samplers that are off, of its cache and its slots; numbers beside the answer.
    {"adaptive_decay", ignore},
    {"backend_sampling", ignore},
    {"cache_prompt", ignore},
    {"dry_allowed_length", ignore},
    {"dry_base", ignore},
    {"dry_penalty_last_n", ignore},
    {"dry_sequence_breakers", ignore},
    {"dynatemp_exponent", ignore},
    {"id_slot", ignore},
    {"mirostat_eta", ignore},
    {"mirostat_tau", ignore},
    {"n_cache_reuse", ignore},
    {"n_discard", ignore},
    {"n_keep", ignore},
    {"reasoning_budget_end_tag", ignore},
    {"reasoning_budget_end_tags", ignore},
    {"reasoning_budget_message", ignore},
    {"reasoning_budget_start_tag", ignore},
    {"return_progress", ignore},
    {"speculative.n_max", ignore},
    {"speculative.n_min", ignore},
    {"speculative.ngram_min_hits", ignore},
    {"speculative.ngram_size_m", ignore},
    {"speculative.ngram_size_n", ignore},
    {"speculative.p_min", ignore},
    {"speculative.type", ignore},
    {"sse_ping_interval", ignore},
    {"timings_per_token", ignore},
    {"verbose", ignore},
    {"xtc_threshold", ignore},
});

}  // namespace

std::span<const JsonField<GenerateBody>> unsupported_fields() { return kUnsupportedFields; }
std::span<const JsonField<GenerateBody>> ignored_fields() { return kIgnoredFields; }

}  // namespace autoglm::protocol::openai
