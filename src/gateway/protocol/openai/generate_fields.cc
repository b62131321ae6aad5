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
constexpr std::size_t kMostBadWords = 256;

template <class T, class U>
Result<void> assign(Result<T> value, U& target) {
  if (!value) return fail(std::move(value).error());
  target = static_cast<U>(std::move(*value));
  return {};
}

/// A number of the sampling parameters, within [min, max].
template <std::optional<double> SamplingNumbers::* kMember, int kMin, int kMax>
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

template <std::optional<std::uint32_t> GenerateBody::* kMember>
Result<void> read_max_tokens(const JsonValue& value, GenerateBody& body) {
  return assign(value.as_integer(0, std::numeric_limits<std::int32_t>::max()), (body.*kMember).emplace());
}

/// llama-server's; -1: as far as the context reaches.
Result<void> read_n_predict(const JsonValue& value, GenerateBody& body) {
  return assign(value.as_integer(-1, std::numeric_limits<std::int32_t>::max()), body.n_predict.emplace());
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

Result<void> add_bias(TokenId token, const JsonValue& value, GenerateBody& body) {
  auto& biases = body.work.sampling.logit_bias;
  if (biases.size() >= kMaxBiases)
    return fail(invalid_field("logit_bias", fmt::format("logit_bias takes at most {} tokens", kMaxBiases)));
  if (const auto never = value.as_bool(); never && !*never) {  // llama-server's word for that
    biases.emplace_back(token, -std::numeric_limits<float>::infinity());
    return {};
  }
  const auto bias = value.as_number(-100, 100);
  if (!bias) return fail(bias.error());
  biases.emplace_back(token, static_cast<float>(*bias));
  return {};
}

/// llama-server's other form: [[5, -1.5], [6, false]].
Result<void> read_bias_pairs(const JsonValue& value, GenerateBody& body) {
  return value.for_each_item([&](const JsonValue& pair) -> Result<void> {
    if (!pair.is_array() || pair.item_count() != 2) return fail(pair.wrong("a pair of a token and a number"));
    std::int64_t token = -1;
    return pair.for_each_item([&](const JsonValue& part) -> Result<void> {
      if (token >= 0) return add_bias(static_cast<TokenId>(token), part, body);
      if (part.is_string()) return fail(part.wrong("a token id"));
      return assign(part.as_integer(0, std::numeric_limits<TokenId>::max()), token);
    });
  });
}

Result<void> read_logit_bias(const JsonValue& value, GenerateBody& body) {
  body.work.sampling.logit_bias.clear();
  if (value.is_array()) return read_bias_pairs(value, body);
  return value.for_each_member([&](std::string_view key, const JsonValue& item) -> Result<void> {
    TokenId token = 0;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), token);
    if (error != std::errc() || end != key.data() + key.size() || token < 0) {
      return fail(invalid_field(
          "logit_bias",
          fmt::format("logit_bias must map token ids to numbers, got the key \"{}\"", excerpt(key, 32))));
    }
    return add_bias(token, item, body);
  });
}

Result<void> read_stream_options(const JsonValue& value, GenerateBody& body) {
  return value.for_each_member([&](std::string_view key, const JsonValue& item) -> Result<void> {
    if (item.is_null()) return {};
    if (key == "include_usage") return read_flag<&GenerateBody::include_usage>(item, body);
    if (key == "include_event_ids") return read_flag<&GenerateBody::include_event_ids>(item, body);
    if (key != "continuous_usage_stats") return {};
    const auto flag = item.as_bool();
    if (!flag || *flag) refuse(body, unsupported(item.path(), "false"));
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

Result<void> read_prompt_logprobs(const JsonValue& value, GenerateBody& body) {
  body.prompt_logprobs = true;
  return assign(value.as_integer(0, kMaxLogprobs), body.work.prompt_logprobs.emplace());
}

/// llama-server's names for `logprobs` with so many `top_logprobs`.
Result<void> read_n_probs(const JsonValue& value, GenerateBody& body) {
  const auto count = value.as_integer(0, kMaxLogprobs);
  if (!count) return fail(count.error());
  if (*count == 0) return {};
  body.logprobs = true;
  body.work.top_logprobs = static_cast<std::uint32_t>(*count);
  return {};
}

Result<void> read_typical_p(const JsonValue& value, GenerateBody& body) {
  const auto typical = value.as_number(0, 1);
  if (!typical || *typical == 0) return fail(value.wrong("a number above 0 and up to 1"));
  body.work.sampling.typical_p = *typical;
  return {};
}

Result<void> read_top_n_sigma(const JsonValue& value, GenerateBody& body) {
  return assign(value.as_number(-1, 100), body.work.sampling.top_n_sigma.emplace());
}

Result<void> read_penalty_window(const JsonValue& value, GenerateBody& body) {
  return assign(value.as_integer(-1, std::numeric_limits<std::int32_t>::max()),
                body.work.sampling.penalty_window.emplace());
}

Result<void> read_allowed_tokens(const JsonValue& value, GenerateBody& body) {
  auto& allowed = body.work.sampling.allowed_tokens;
  allowed.clear();
  if (auto read = read_token_list(value, allowed); !read) return read;
  return allowed.empty() ? fail(value.wrong("a list of at least one token")) : Result<void>();
}

Result<void> read_bad_words(const JsonValue& value, GenerateBody& body) {
  auto words = value.as_strings(kMostBadWords);
  if (!words) return fail(words.error());
  for (const std::string& word : *words) {
    if (word.empty()) return fail(invalid_field(value.path(), "bad_words must not contain an empty string"));
  }
  body.work.bad_words = std::move(*words);
  return {};
}

Result<void> read_truncation(const JsonValue& value, GenerateBody& body) {
  const auto tokens = value.as_integer(-1, std::numeric_limits<std::int32_t>::max());
  if (!tokens || *tokens == 0) return fail(value.wrong("-1, or a whole number of at least 1"));
  body.truncation.tokens = *tokens;
  body.truncates = true;
  return {};
}

Result<void> read_truncation_side(const JsonValue& value, GenerateBody& body) {
  const auto side = value.as_string();
  if (!side || (*side != "left" && *side != "right")) return fail(value.wrong(R"("left" or "right")"));
  body.truncation.keeps_beginning = *side == "right";
  return {};
}

Result<void> read_add_special(const JsonValue& value, GenerateBody& body) {
  return assign(value.as_bool(), body.work.add_special.emplace());
}

constexpr auto kGenerateFields = std::to_array<JsonField<GenerateBody>>({
    {"model", read_model},
    {"stream", read_flag<&GenerateBody::stream>},
    {"stream_options", read_stream_options},
    {"max_tokens", read_max_tokens<&GenerateBody::max_tokens>},
    {"max_completion_tokens", read_max_tokens<&GenerateBody::max_completion_tokens>},
    {"n_predict", read_n_predict},
    {"temperature", read_sampling<&SamplingNumbers::temperature, 0, 2>},
    {"top_p", read_sampling<&SamplingNumbers::top_p, 0, 1>},
    {"n", read_n},
    {"n_cmpl", read_n},
    {"stop", read_stop},
    {"seed", read_seed},
    {"presence_penalty", read_sampling<&SamplingNumbers::presence_penalty, -2, 2>},
    {"frequency_penalty", read_sampling<&SamplingNumbers::frequency_penalty, -2, 2>},
    {"logit_bias", read_logit_bias},
    {"top_k", read_top_k},
    {"min_p", read_sampling<&SamplingNumbers::min_p, 0, 1>},
    {"typical_p", read_typical_p},
    {"top_n_sigma", read_top_n_sigma},
    {"repetition_penalty", read_repetition_penalty},
    {"repeat_penalty", read_repetition_penalty},
    {"repeat_last_n", read_penalty_window},
    {"allowed_token_ids", read_allowed_tokens},
    {"bad_words", read_bad_words},
    {"truncate_prompt_tokens", read_truncation},
    {"truncation_side", read_truncation_side},
    {"add_special_tokens", read_add_special},
    {"n_probs", read_n_probs},
    {"ignore_eos", read_stop_flag<&StopConditions::ignore_eos>},
    {"min_tokens", read_min_tokens},
    {"stop_token_ids", read_stop_tokens},
    {"prompt_logprobs", read_prompt_logprobs},
    {"return_token_ids", read_flag<&GenerateBody::return_tokens>},
    {"resume", read_resume},
    {"priority", read_priority},
    {"cache_salt", read_cache_salt},
    {"include_stop_str_in_output", read_stop_flag<&StopConditions::include_stop>},
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

namespace {

/// Of several names for the limit the newest wins, in whatever order they come.
void settle_max_tokens(GenerateBody& body, std::optional<std::uint32_t> otherwise) {
  auto& most = body.work.stop.max_tokens;
  most = body.max_completion_tokens ? body.max_completion_tokens : body.max_tokens;
  if (most) return;
  if (!body.n_predict) {
    most = otherwise;
  } else if (*body.n_predict >= 0) {
    most = static_cast<std::uint32_t>(*body.n_predict);
  }
}

}  // namespace

void refuse(GenerateBody& body, Error error) {
  if (!body.work.refusal) body.work.refusal = std::move(error);
}

Error unsupported(const std::string& field, std::string_view neutral) {
  return invalid_field(
      field, fmt::format("{} is not supported by this server: leave it out or send {}", field, neutral),
      "unsupported_parameter");
}

Result<void> settle_fields(GenerateBody& body, std::optional<std::uint32_t> max_tokens) {
  settle_max_tokens(body, max_tokens);
  if (body.truncates) body.work.truncation = body.truncation;
  if (auto settled = settle_logprobs(body); !settled) return settled;
  if (auto settled = settle_best_of(body); !settled) return settled;
  if (const auto& resume = body.work.resume; !resume.empty() && resume.size() != body.work.choices()) {
    return fail(invalid_field("resume.token_ids",
                              fmt::format("resume.token_ids must have a list for each of {} choices, got {}",
                                          body.work.choices(), resume.size())));
  }
  // By llama-server's word, none may be asked for.
  const bool only_reads = body.n_predict == 0 && !body.max_tokens && !body.max_completion_tokens;
  if (body.work.stop.max_tokens == 0U && !only_reads && !body.work.echo && !body.work.prompt_logprobs) {
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

}  // namespace autoglm::protocol::openai
