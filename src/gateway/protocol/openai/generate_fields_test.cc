// How every field of OpenAI's, vLLM's and llama-server's schemas is treated: the table in docs/serving.md,
// row by row.
#include "gateway/protocol/openai/chat_codec.h"
#include "gateway/protocol/openai/completions_codec.h"

#include <gtest/gtest.h>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace autoglm::protocol::openai {
namespace {

struct Row {
  std::string field;
  std::string route;  ///< "chat", "text", "both"
  std::string fate;   ///< "honoured", "refused", "ignored"
  std::string value;
  std::string beside;  ///< members that it needs beside it
};

/// The text between the `n`-th pair of back quotes.
std::string quoted(std::string_view cell, std::size_t n) {
  std::size_t at = 0;
  for (std::size_t i = 0; i < 2 * n + 1; ++i) {
    at = cell.find('`', at);
    if (at == std::string_view::npos) return {};
    ++at;
  }
  return std::string(cell.substr(at, cell.find('`', at) - at));
}

std::vector<Row> rows() {
  std::ifstream file(std::string(AUTOGLM_SOURCE_DIR) + "/docs/serving.md");
  std::vector<Row> rows;
  bool inside = false;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("## ")) inside = line == "## Every field of a request";
    if (!inside || !line.starts_with("| `")) continue;
    std::vector<std::string> cells;
    std::istringstream parts(line.substr(1));
    for (std::string cell; std::getline(parts, cell, '|');) cells.push_back(cell.substr(1, cell.size() - 2));
    EXPECT_EQ(cells.size(), 4U) << line;
    rows.push_back({.field = quoted(cells.at(0), 0),
                    .route = cells.at(1),
                    .fate = cells.at(2).substr(0, cells.at(2).find(';')),
                    .value = quoted(cells.at(3), 0),
                    .beside = quoted(cells.at(3), 1)});
  }
  return rows;
}

std::string text_of(const Prompt& prompt) {
  if (const auto* text = std::get_if<TextPrompt>(&prompt))
    return fmt::format("text {} {} {}", text->text, text->parse_special, text->suffix);
  if (const auto* tokens = std::get_if<TokenPrompt>(&prompt)) return fmt::format("{}", tokens->tokens);
  const auto& chat = std::get<ChatPrompt>(prompt);
  std::string out;
  for (const ChatMessage& message : chat.messages) out += message.role + message.content;
  for (const Tool& tool : chat.tools) out += tool.name;
  return fmt::format("{} {} {} {} {} {}", out, static_cast<int>(chat.tool_use), chat.parallel_tool_calls,
                     chat.continue_final_message, chat.add_generation_prompt, chat.template_arguments);
}

std::string text_of(const SamplingRequest& sampling) {
  std::string out;
  const auto add = [&out](const auto& number) {
    out += number ? fmt::format(" {}", *number) : std::string(" -");
  };
  for_each_sampling_number([&](std::string_view, auto member, auto, const SamplingRange&) {
    add(static_cast<const SamplingNumbers&>(sampling).*member);
  });
  add(sampling.seed);
  add(sampling.typical_p);
  add(sampling.top_n_sigma);
  add(sampling.penalty_window);
  return out + fmt::format(" {} {}", sampling.logit_bias, sampling.allowed_tokens);
}

/// All that a body has asked for, and how it is answered.
std::string text_of(DecodedCall& call) {
  const GenerateRequest& work = *call.generation();
  std::string out = fmt::format("{} {} {}", call.model, call.stream, call.priority);
  for (const Prompt& prompt : work.prompts) out += text_of(prompt);
  out += text_of(work.sampling);
  out +=
      fmt::format(" {} {} {} {} {} {}", work.stop.max_tokens.value_or(4711), work.stop.stop,
                  work.stop.stop_tokens, work.stop.include_stop, work.stop.ignore_eos, work.stop.min_tokens);
  out += fmt::format(" {} {} {} {} {} {} {} {}", work.n, static_cast<int>(work.format.kind),
                     work.format.definition, work.top_logprobs.value_or(99), work.cache_salt, work.echo,
                     work.prompt_logprobs.value_or(99), work.resume);
  out += fmt::format(
      " {} {} {} {}",
      static_cast<int>(work.add_special.value_or(call.protocol == WireBody::Protocol::kCompletions)),
      work.truncation ? work.truncation->tokens : -9, work.truncation && work.truncation->keeps_beginning,
      work.bad_words);
  const auto encoder = call.make_encoder({.id = "1", .model = "m"});
  EventBatch batch;
  for (std::uint32_t i = 0; i < work.choices(); ++i)
    batch.events.push_back({.choice = i, .tokens = {7}, .text = "a", .finish = FinishReason::kStop});
  encoder->events(batch, out);
  encoder->end({.prompt_tokens = 3, .completion_tokens = 1}, out);
  return out;
}

Result<DecodedCall> decode(std::string_view route, std::string_view members) {
  const bool is_chat = route == "chat";
  const std::string body = fmt::format(
      "{{{}{}}}", is_chat ? R"("messages":[{"role":"user","content":"x"}])" : R"("prompt":"x")", members);
  return is_chat ? ChatCodec().decode(body) : CompletionsCodec().decode(body);
}

void check(const Row& row, const std::string& route) {
  const std::string beside = row.beside.empty() ? "" : "," + row.beside;
  auto without = decode(route, beside);
  auto with = decode(route, fmt::format("{},\"{}\":{}", beside, row.field, row.value));
  if (row.fate == "refused") {
    const std::string param =
        with ? (with->generation()->refusal ? with->generation()->refusal->param : "") : with.error().param;
    EXPECT_EQ(param.substr(0, row.field.size()), row.field);
    return;
  }
  ASSERT_TRUE(without) << without.error().message;
  ASSERT_TRUE(with) << with.error().message;
  EXPECT_FALSE(with->generation()->refusal) << with->generation()->refusal->message;
  EXPECT_EQ(with->unknown_fields, 0U);
  if (row.fate == "ignored") {
    EXPECT_EQ(text_of(*with), text_of(*without));
  } else {
    EXPECT_EQ(row.fate, "honoured");
    EXPECT_NE(text_of(*with), text_of(*without));
  }
}

TEST(RequestFields, AreWhatTheTableSays) {
  for (const Row& row : rows()) {
    for (const char* route : {"chat", "text"}) {
      SCOPED_TRACE(fmt::format("{} of {}", row.field, route));
      if (row.route == route || row.route == "both") check(row, route);
    }
  }
}

// The names in the schemas, as of November 2025: OpenAI's OpenAPI, vLLM's protocol.py and the fields that it
// had before, llama-server's server-schema.cpp and what its chats have besides.
constexpr std::string_view kOpenAiChat =
    "messages model audio frequency_penalty function_call functions logit_bias logprobs "
    "max_completion_tokens "
    "max_tokens metadata modalities n parallel_tool_calls prediction presence_penalty prompt_cache_key "
    "prompt_cache_retention reasoning_effort response_format safety_identifier seed service_tier stop store "
    "stream stream_options temperature tool_choice tools top_logprobs top_p user verbosity "
    "web_search_options";
constexpr std::string_view kOpenAiText =
    "model prompt best_of echo frequency_penalty logit_bias logprobs max_tokens n presence_penalty seed stop "
    "stream stream_options suffix temperature top_p user";
constexpr std::string_view kVllmBoth =
    "use_beam_search top_k min_p repetition_penalty watermarking length_penalty stop_token_ids "
    "include_stop_str_in_output ignore_eos min_tokens skip_special_tokens spaces_between_special_tokens "
    "truncate_prompt_tokens truncation_side prompt_logprobs logprob_token_ids allowed_token_ids bad_words "
    "add_special_tokens structured_outputs priority request_id session_id return_tokens_as_token_ids "
    "return_token_ids routed_experts_prompt_start return_token_offsets return_mm_kwargs cache_salt "
    "kv_transfer_params ec_transfer_params vllm_xargs repetition_detection thinking_token_budget "
    "stream_interval "
    "guided_json guided_regex guided_choice guided_grammar guided_decoding_backend guided_whitespace_pattern "
    "early_stopping logits_processors structural_tag response_format best_of detokenize";
constexpr std::string_view kVllmChat =
    "include_reasoning echo add_generation_prompt continue_final_message documents chat_template "
    "chat_template_kwargs media_io_kwargs mm_processor_kwargs return_prompt_text";
constexpr std::string_view kVllmText = "prompt_embeds";
constexpr std::string_view kLlamaServer =
    "verbose timings_per_token stream stream_options cache_prompt return_tokens return_progress "
    "sse_ping_interval n_predict max_tokens n_indent n_keep n_discard n_cmpl n n_cache_reuse t_max_prompt_ms "
    "t_max_predict_ms response_fields top_k top_p min_p top_n_sigma xtc_probability xtc_threshold typical_p "
    "temperature dynatemp_range dynatemp_exponent repeat_last_n repeat_penalty frequency_penalty "
    "presence_penalty dry_multiplier dry_base dry_allowed_length dry_penalty_last_n dry_sequence_breakers "
    "mirostat mirostat_mode mirostat_tau mirostat_eta adaptive_target adaptive_decay seed n_probs min_keep "
    "backend_sampling post_sampling_probs speculative.n_max speculative.n_min speculative.p_min "
    "speculative.type "
    "speculative.ngram_size_n speculative.ngram_size_m speculative.ngram_min_hits lora json_schema grammar "
    "grammar_lazy chat_format reasoning_format generation_prompt parse_tool_calls chat_parser "
    "preserved_tokens "
    "grammar_triggers reasoning_budget_tokens reasoning_budget_start_tag reasoning_budget_end_tag "
    "reasoning_budget_end_tags reasoning_budget_message reasoning_control logit_bias ignore_eos stop "
    "samplers "
    "id_slot echo";
constexpr std::string_view kLlamaServerChat =
    "messages tools tool_choice parallel_tool_calls logprobs top_logprobs response_format "
    "chat_template_kwargs "
    "add_generation_prompt continue_final_message reasoning_effort thinking_budget_tokens "
    "max_completion_tokens";

TEST(RequestFields, AreAllInTheTable) {
  const std::vector<Row> table = rows();
  const auto expect = [&](std::string_view names, std::string_view route) {
    std::istringstream words{std::string(names)};
    for (std::string name; words >> name;) {
      EXPECT_TRUE(std::ranges::any_of(
          table,
          [&](const Row& row) { return row.field == name && (row.route == "both" || row.route == route); }))
          << name << " of " << route;
    }
  };
  for (const std::string_view names : {kOpenAiChat, kVllmBoth, kVllmChat, kLlamaServer, kLlamaServerChat})
    expect(names, "chat");
  for (const std::string_view names : {kOpenAiText, kVllmBoth, kVllmText, kLlamaServer})
    expect(names, "text");
}

TEST(RequestFields, APatternHasALength) {
  const auto body = [](std::size_t length) {
    return R"({"prompt":"x","guided_regex":")" + std::string(length, 'a') + "\"}";
  };
  EXPECT_TRUE(CompletionsCodec().decode(body(65536)));
  EXPECT_NE(CompletionsCodec().decode(body(65537)).error().message.find("at most 65536 bytes, got 65537"),
            std::string::npos);
}

}  // namespace
}  // namespace autoglm::protocol::openai
