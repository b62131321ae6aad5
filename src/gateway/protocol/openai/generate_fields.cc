#include "gateway/protocol/openai/generate_fields.h"

#include "base/utf8.h"
#include "gateway/protocol/openai/prompt_fields.h"

#include <fmt/format.h>
#include <array>
#include <charconv>
#include <limits>

namespace autoglm::protocol::openai {

namespace {

constexpr std::size_t kMaxStopStrings = 16;
constexpr std::int64_t kMaxChoices = 128;
constexpr std::size_t kMaxBiases = 1024;
constexpr std::int64_t kMaxLogprobs = 20;

template <class T, class U>
Result<void> assign(Result<T> value, U& target) {
  if (!value) return fail(std::move(value).error());
  target = static_cast<U>(std::move(*value));
  return {};
}

/// A number of the sampling parameters, within [min, max].
template <double SamplingParams::* kMember, int kMin, int kMax>
Result<void> read_sampling(const JsonValue& value, GenerateBody& body) {
  return assign(value.as_number(kMin, kMax), body.work.sampling.*kMember);
}

template <bool GenerateBody::* kMember>
Result<void> read_flag(const JsonValue& value, GenerateBody& body) {
  return assign(value.as_bool(), body.*kMember);
}

template <bool StopConditions::* kMember>
Result<void> read_stop_flag(const JsonValue& value, GenerateBody& body) {
  return assign(value.as_bool(), body.work.stop.*kMember);
}

Result<void> read_model(const JsonValue& value, GenerateBody& body) {
  return assign(value.as_string(), body.model);
}

Result<void> read_max_tokens(const JsonValue& value, GenerateBody& body) {
  const auto tokens = value.as_integer(0, std::numeric_limits<std::int32_t>::max());
  if (!tokens) return fail(tokens.error());
  body.work.stop.max_tokens = static_cast<std::uint32_t>(*tokens);
  return {};
}

Result<void> read_n(const JsonValue& value, GenerateBody& body) {
  return assign(value.as_integer(1, kMaxChoices), body.work.n);
}

Result<void> read_priority(const JsonValue& value, GenerateBody& body) {
  return assign(value.as_integer(0, 9), body.priority);
}

Result<void> read_cache_salt(const JsonValue& value, GenerateBody& body) {
  return assign(value.as_string(), body.work.cache_salt);
}

Result<void> read_top_k(const JsonValue& value, GenerateBody& body) {
  const auto top_k = value.as_integer(-1, std::numeric_limits<std::int32_t>::max());
  if (!top_k) return fail(top_k.error());
  body.work.sampling.top_k = *top_k < 0 ? 0 : static_cast<std::int32_t>(*top_k);  // vLLM: -1 and 0 are "off"
  return {};
}

Result<void> read_top_p(const JsonValue& value, GenerateBody& body) {
  const auto top_p = value.as_number(0, 1);
  if (!top_p || *top_p == 0) return fail(value.wrong("a number above 0 and up to 1"));
  body.work.sampling.top_p = *top_p;
  return {};
}

Result<void> read_repetition_penalty(const JsonValue& value, GenerateBody& body) {
  const auto penalty = value.as_number(0, 10);
  if (!penalty || *penalty == 0) return fail(value.wrong("a number above 0 and up to 10"));
  body.work.sampling.repetition_penalty = *penalty;
  return {};
}

Result<void> read_seed(const JsonValue& value, GenerateBody& body) {
  // Any 64-bit number, signed or not: only its bits matter.
  const auto seed =
      value.as_integer(std::numeric_limits<std::int64_t>::min(), std::numeric_limits<std::int64_t>::max());
  if (!seed) return fail(value.wrong("a 64-bit whole number"));
  body.work.sampling.seed = static_cast<std::uint64_t>(*seed);
  return {};
}

Result<void> read_stop(const JsonValue& value, GenerateBody& body) {
  auto strings = value.as_strings(kMaxStopStrings);
  if (!strings) return fail(strings.error());
  for (const std::string& text : *strings) {
    if (text.empty()) return fail(invalid_field(value.path(), "stop must not contain an empty string"));
  }
  body.work.stop.stop = std::move(*strings);
  return {};
}

Result<void> read_logit_bias(const JsonValue& value, GenerateBody& body) {
  auto& biases = body.work.sampling.logit_bias;
  biases.clear();
  return value.for_each_member([&](std::string_view key, const JsonValue& item) -> Result<void> {
    TokenId token = 0;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), token);
    if (error != std::errc() || end != key.data() + key.size() || token < 0) {
      return fail(invalid_field(
          "logit_bias",
          fmt::format("logit_bias must map token ids to numbers, got the key \"{}\"", excerpt(key, 32))));
    }
    const auto bias = item.as_number(-100, 100);
    if (!bias) return fail(bias.error());
    if (biases.size() >= kMaxBiases) {
      return fail(invalid_field("logit_bias", fmt::format("logit_bias takes at most {} tokens", kMaxBiases)));
    }
    biases.emplace_back(token, static_cast<float>(*bias));
    return {};
  });
}

Result<void> read_stream_options(const JsonValue& value, GenerateBody& body) {
  return value.for_each_member([&](std::string_view key, const JsonValue& item) -> Result<void> {
    if (item.is_null()) return {};
    if (key == "include_usage") return read_flag<&GenerateBody::include_usage>(item, body);
    if (key == "include_event_ids") return read_flag<&GenerateBody::include_event_ids>(item, body);
    return {};
  });
}

Result<void> read_min_tokens(const JsonValue& value, GenerateBody& body) {
  return assign(value.as_integer(0, std::numeric_limits<std::int32_t>::max()), body.work.stop.min_tokens);
}

Result<void> read_stop_tokens(const JsonValue& value, GenerateBody& body) {
  body.work.stop.stop_tokens.clear();
  return read_token_list(value, body.work.stop.stop_tokens);
}

Result<void> set_format(OutputFormat format, GenerateBody& body) {
  if (body.work.format.kind != OutputFormat::Kind::kText) {
    return fail(invalid_field(format.kind == OutputFormat::Kind::kGrammar ? "grammar" : "response_format",
                              "grammar and response_format exclude each other: leave one of them out"));
  }
  body.work.format = std::move(format);
  return {};
}

Result<void> read_json_schema(const JsonValue& value, std::string& schema) {
  bool found = false;
  auto visited = value.for_each_member([&](std::string_view key, const JsonValue& item) -> Result<void> {
    if (key != "schema") return {};  // name, description, strict: always kept to strictly
    if (!item.is_object()) return fail(item.wrong("a JSON schema, an object"));
    found = true;
    schema = item.as_json();
    return {};
  });
  if (!visited) return visited;
  if (found) return {};
  const std::string path = value.path() + ".schema";
  return fail(invalid_field(path, path + " is missing", "missing_required_parameter"));
}

Result<void> read_response_format(const JsonValue& value, GenerateBody& body) {
  std::string type;
  std::string schema;
  auto visited = value.for_each_member([&](std::string_view key, const JsonValue& item) -> Result<void> {
    if (key == "type") return assign(item.as_string(), type);
    if (key != "json_schema" || item.is_null()) return {};
    return read_json_schema(item, schema);
  });
  if (!visited) return visited;
  if (type == "json_schema" && !schema.empty())
    return set_format({OutputFormat::Kind::kJsonSchema, std::move(schema)}, body);
  if (type == "text") return {};
  if (type == "json_object") return set_format({OutputFormat::Kind::kJsonObject, ""}, body);
  return fail(invalid_field(
      value.path() + (type == "json_schema" ? ".json_schema" : ".type"),
      value.path() + R"( must be {"type": "text"}, {"type": "json_object"} or {"type": "json_schema", )"
                     R"("json_schema": {"name": "…", "schema": {…}}})"));
}

Result<void> read_prompt_logprobs(const JsonValue& value, GenerateBody& body) {
  body.prompt_logprobs = true;
  return assign(value.as_integer(0, kMaxLogprobs), body.work.prompt_logprobs.emplace());
}

Result<void> read_grammar(const JsonValue& value, GenerateBody& body) {
  auto grammar = value.as_string();
  if (!grammar) return fail(grammar.error());
  if (grammar->empty()) return {};
  return set_format({OutputFormat::Kind::kGrammar, std::move(*grammar)}, body);
}

constexpr auto kGenerateFields = std::to_array<JsonField<GenerateBody>>({
    {"model", read_model},
    {"stream", read_flag<&GenerateBody::stream>},
    {"stream_options", read_stream_options},
    {"max_tokens", read_max_tokens},
    {"max_completion_tokens", read_max_tokens},
    {"temperature", read_sampling<&SamplingParams::temperature, 0, 2>},
    {"top_p", read_top_p},
    {"n", read_n},
    {"stop", read_stop},
    {"seed", read_seed},
    {"presence_penalty", read_sampling<&SamplingParams::presence_penalty, -2, 2>},
    {"frequency_penalty", read_sampling<&SamplingParams::frequency_penalty, -2, 2>},
    {"logit_bias", read_logit_bias},
    {"top_k", read_top_k},
    {"min_p", read_sampling<&SamplingParams::min_p, 0, 1>},
    {"repetition_penalty", read_repetition_penalty},
    {"ignore_eos", read_stop_flag<&StopConditions::ignore_eos>},
    {"min_tokens", read_min_tokens},
    {"stop_token_ids", read_stop_tokens},
    {"prompt_logprobs", read_prompt_logprobs},
    {"return_token_ids", read_flag<&GenerateBody::return_tokens>},
    {"resume", read_resume},
    {"response_format", read_response_format},
    {"grammar", read_grammar},
    {"priority", read_priority},
    {"cache_salt", read_cache_salt},
    {"include_stop_str_in_output", read_stop_flag<&StopConditions::include_stop>},
});

Result<void> refuse(const JsonValue& value, std::string_view neutral) {
  return fail(invalid_field(
      value.path(),
      fmt::format("{} is not supported by this server: leave it out or send {}", value.path(), neutral),
      "unsupported_parameter"));
}

Result<void> only_false(const JsonValue& value, GenerateBody& /*body*/) {
  const auto flag = value.as_bool();
  return flag && !*flag ? Result<void>() : refuse(value, "false");
}

/// Samplers whose state a continuation elsewhere could not rebuild, or that the answer's draw has no place
/// for.
Result<void> only_zero(const JsonValue& value, GenerateBody& /*body*/) {
  return value.as_number(0, 0) ? Result<void>() : refuse(value, "0");
}

Result<void> only_none(const JsonValue& value, GenerateBody& /*body*/) { return refuse(value, "null"); }

Result<void> only_empty(const JsonValue& value, GenerateBody& /*body*/) {
  const bool empty =
      (value.is_array() && value.item_count() == 0) || (value.is_string() && value.as_string()->empty());
  return empty ? Result<void>() : refuse(value, "nothing");
}

Result<void> only_one(const JsonValue& value, GenerateBody& /*body*/) {
  return value.as_integer(1, 1) ? Result<void>() : refuse(value, "1");
}

/// logprobs is a flag in chat and a number in completions, where even 0 asks for something.
Result<void> no_logprobs(const JsonValue& value, GenerateBody& /*body*/) {
  const auto flag = value.as_bool();
  return flag && !*flag ? Result<void>() : refuse(value, "null");
}

Result<void> no_tool_choice(const JsonValue& value, GenerateBody& /*body*/) {
  const auto word = value.as_string();
  return word && (*word == "none" || *word == "auto") ? Result<void>() : refuse(value, "\"none\"");
}

constexpr auto kUnsupportedFields = std::to_array<JsonField<GenerateBody>>({
    {"echo", only_false},
    {"best_of", only_one},
    {"suffix", only_empty},
    {"functions", only_empty},
    {"tools", only_empty},
    {"tool_choice", no_tool_choice},
    {"logprobs", no_logprobs},
    {"top_logprobs", only_none},
    {"use_beam_search", only_false},
    {"mirostat", only_zero},
    {"xtc_probability", only_zero},
    {"dry_multiplier", only_zero},
});

}  // namespace

Result<void> read_logprobs_count(const JsonValue& value, GenerateBody& body) {
  body.logprobs = true;
  return assign(value.as_integer(0, kMaxLogprobs), body.work.top_logprobs.emplace());
}

Result<void> read_logprobs_flag(const JsonValue& value, GenerateBody& body) {
  return assign(value.as_bool(), body.logprobs);
}

Result<void> read_top_logprobs(const JsonValue& value, GenerateBody& body) {
  return assign(value.as_integer(0, kMaxLogprobs), body.work.top_logprobs.emplace());
}

Result<void> read_echo(const JsonValue& value, GenerateBody& body) {
  return assign(value.as_bool(), body.work.echo);
}

Result<void> read_best_of(const JsonValue& value, GenerateBody& body) {
  return assign(value.as_integer(1, kMaxChoices), body.best_of.emplace());
}

namespace {

Result<void> settle_logprobs(GenerateBody& body) {
  if (body.logprobs && !body.work.top_logprobs) body.work.top_logprobs = 0;
  if (!body.logprobs && body.work.top_logprobs.value_or(0) > 0) {
    return fail(invalid_field("top_logprobs", "top_logprobs needs logprobs to be true"));
  }
  if (!body.logprobs) body.work.top_logprobs.reset();
  if (body.prompt_logprobs && body.stream) {
    return fail(
        invalid_field("prompt_logprobs", "prompt_logprobs come with a whole answer: leave out stream"));
  }
  // Echoed tokens are reported as generated ones are.
  if (body.work.echo && body.logprobs && !body.work.prompt_logprobs)
    body.work.prompt_logprobs = body.work.top_logprobs;
  return {};
}

Result<void> settle_best_of(GenerateBody& body) {
  body.n = body.work.n;
  if (!body.best_of) return {};
  if (*body.best_of < body.n) {
    return fail(invalid_field(
        "best_of", fmt::format("best_of must be at least n, which is {}, got {}", body.n, *body.best_of)));
  }
  if (body.stream && *body.best_of > body.n) {
    return fail(invalid_field("best_of", "best_of chooses among whole answers: leave out stream"));
  }
  body.work.n = *body.best_of;
  if (!body.work.top_logprobs) body.work.top_logprobs = 0;  // to choose by
  return {};
}

}  // namespace

Result<void> settle_fields(GenerateBody& body) {
  if (auto settled = settle_logprobs(body); !settled) return settled;
  if (auto settled = settle_best_of(body); !settled) return settled;
  if (body.work.stop.max_tokens == 0U && !body.work.echo && !body.work.prompt_logprobs) {
    return fail(invalid_field(
        "max_tokens",
        "max_tokens must be at least 1, unless echo or prompt_logprobs ask for the prompt, got 0"));
  }
  const StopConditions& stop = body.work.stop;
  if (stop.min_tokens > stop.max_tokens.value_or(stop.min_tokens)) {
    return fail(
        invalid_field("min_tokens", fmt::format("min_tokens must be at most max_tokens, which is {}, got {}",
                                                *stop.max_tokens, stop.min_tokens)));
  }
  return {};
}

std::span<const JsonField<GenerateBody>> generate_fields() { return kGenerateFields; }
std::span<const JsonField<GenerateBody>> unsupported_fields() { return kUnsupportedFields; }

}  // namespace autoglm::protocol::openai
