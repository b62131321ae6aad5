#include "gateway/protocol/llama/completion_codec.h"

#include "gateway/protocol/llama/completion_encoder.h"
#include "gateway/protocol/openai/format_fields.h"
#include "gateway/protocol/openai/other_fields.h"
#include "gateway/protocol/openai/prompt_fields.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>
#include <string>
#include <utility>
#include <vector>

namespace autoglm::protocol::llama {

namespace {

constexpr std::size_t kMostSamplers = 32;
constexpr std::size_t kMostResponseFields = 64;
constexpr std::size_t kMostExtra = 256;

template <Result<void> (*kRead)(const JsonValue&, openai::GenerateBody&)>
Result<void> read_common(const JsonValue& value, Body& body) {
  return kRead(value, body);
}

/// -1: a fresh one each time.
Result<void> read_seed(const JsonValue& value, Body& body) {
  const auto seed =
      value.as_integer(std::numeric_limits<std::int64_t>::min(), std::numeric_limits<std::int64_t>::max());
  if (!seed) return fail(value.wrong("a 64-bit whole number"));
  body.work.sampling.seed.reset();
  if (*seed != -1) body.work.sampling.seed = static_cast<std::uint64_t>(*seed);
  return {};
}

Result<void> read_response_fields(const JsonValue& value, Body& body) {
  auto fields = value.as_strings(kMostResponseFields);
  if (!fields) return fail(fields.error());
  body.response_fields.clear();
  for (std::string& field : *fields) {
    // Twice the prompt would be twice its length.
    if (std::ranges::find(body.response_fields, field) == body.response_fields.end())
      body.response_fields.push_back(std::move(field));
  }
  return {};
}

template <bool Body::* kMember>
Result<void> read_flag(const JsonValue& value, Body& body) {
  const auto flag = value.as_bool();
  if (!flag) return fail(flag.error());
  body.*kMember = *flag;
  return {};
}

Result<void> read_return_tokens(const JsonValue& value, Body& body) {
  return read_flag<&Body::shows_tokens>(value, body);
}

/// Which samplers there are: one that is not listed changes nothing. Their order is this program's.
Result<void> read_samplers(const JsonValue& value, Body& body) {
  constexpr auto kKnown =
      std::to_array<std::string_view>({"penalties", "dry", "top_n_sigma", "top_k", "typ_p", "typical_p",
                                       "typical", "top_p", "min_p", "xtc", "temperature", "infill"});
  if (!value.is_array()) return fail(value.wrong("a list of samplers' names"));
  auto names = value.as_strings(kMostSamplers);
  if (!names) return fail(names.error());
  for (const std::string& name : *names) {
    if (std::ranges::find(kKnown, name) == kKnown.end() || (name == "infill" && !body.fills_in))
      return fail(invalid_field(
          value.path(), fmt::format("{} names a sampler that is not here: \"{}\"", value.path(), name)));
  }
  body.samplers = std::move(*names);
  return {};
}

Result<void> only_null(const JsonValue& value, Body& body) {
  openai::refuse(body, openai::unsupported(value.path(), "null"));
  return {};
}

void apply_samplers(Body& body) {
  if (body.samplers.empty()) return;
  const auto lists = [&](std::string_view name) {
    return std::ranges::find(body.samplers, name) != body.samplers.end();
  };
  SamplingRequest& sampling = body.work.sampling;
  if (!lists("temperature")) sampling.temperature = 1;
  // That sampler takes what is likely beyond doubt; the likeliest token is the nearest to it.
  if (lists("infill")) sampling.temperature = 0;
  if (!lists("top_k")) sampling.top_k = 0;
  if (!lists("top_p")) sampling.top_p = 1;
  if (!lists("min_p")) sampling.min_p = 0;
  if (!lists("top_n_sigma")) sampling.top_n_sigma.reset();
  if (!lists("typ_p") && !lists("typical_p") && !lists("typical")) sampling.typical_p.reset();
  if (lists("penalties")) return;
  sampling.presence_penalty = 0;
  sampling.frequency_penalty = 0;
  sampling.repetition_penalty = 1;
}

constexpr auto kCompletionFields = std::to_array<JsonField<Body>>({
    {"prompt", read_common<openai::read_prompts>},
    {"parse_special", read_common<openai::read_parse_special>},
    {"seed", read_seed},
    {"samplers", read_samplers},
    {"response_fields", read_response_fields},
    {"return_tokens", read_return_tokens},
    {"timings_per_token", read_flag<&Body::times_tokens>},
    {"prompt_logprobs", only_null},
});

Result<void> ignore(const JsonValue& /*value*/, Body& /*body*/) { return {}; }

template <std::string Body::* kMember>
Result<void> read_text(const JsonValue& value, Body& body) {
  return value.read_string(body.*kMember);
}

/// `[{"filename": "a.py", "text": "…"}]`.
Result<void> read_extra(const JsonValue& value, Body& body) {
  body.extra.clear();
  if (value.item_count() > kMostExtra)
    return fail(invalid_field(value.path(), fmt::format("{} takes at most {} chunks, got {}", value.path(),
                                                        kMostExtra, value.item_count())));
  return value.for_each_item([&](const JsonValue& chunk) -> Result<void> {
    std::string filename;
    std::string text;
    bool has_text = false;
    auto read = chunk.for_each_member([&](std::string_view key, const JsonValue& item) -> Result<void> {
      if (item.is_null()) return {};
      if (key == "filename") return item.read_string(filename);
      if (key != "text") return {};
      has_text = true;
      return item.read_string(text);
    });
    if (!read) return read;
    if (!has_text) return fail(invalid_field(chunk.path() + ".text", chunk.path() + ".text is missing"));
    if (!filename.empty()) body.extra.append(filename) += '\n';
    body.extra.append(text) += '\n';
    return {};
  });
}

constexpr auto kInfillFields = std::to_array<JsonField<Body>>({
    {"input_prefix", read_text<&Body::input_prefix>},
    {"input_suffix", read_text<&Body::input_suffix>},
    {"input_extra", read_extra},
    {"prompt", read_text<&Body::middle>},
    // Editors always send these; they have an answer of `n_predict` tokens anyway.
    {"n_indent", ignore},
    {"t_max_prompt_ms", ignore},
    {"t_max_predict_ms", ignore},
});

Result<void> settle(Body& body) {
  // A prompt that is only read, so that it is computed when it is needed.
  const bool only_reads = body.n_predict == 0;
  if (only_reads) body.n_predict = 1;
  if (auto settled = openai::settle_prompts(body); !settled) return settled;
  if (auto settled = openai::settle_fields(body, std::nullopt); !settled) return settled;
  if (only_reads) body.work.stop.max_tokens = 0;
  apply_samplers(body);
  if (body.work.refusal) return fail(*std::move(body.work.refusal));
  return {};
}

}  // namespace

Result<DecodedCall> CompletionCodec::decode(std::string_view bytes) const {
  Body body;
  const auto unknown =
      read_fields(bytes, body, kCompletionFields, openai::generate_fields(), openai::format_fields(),
                  openai::unsupported_fields(), openai::ignored_fields());
  if (!unknown) return fail(unknown.error());
  if (!body.has_prompt) {
    return fail(invalid_field("prompt",
                              "prompt is missing: send e.g. {\"prompt\": \"Hello\", \"n_predict\": 50}",
                              "missing_required_parameter"));
  }
  if (auto settled = settle(body); !settled) return fail(settled.error());
  return make_call(std::move(body), *unknown);
}

Result<DecodedCall> InfillCodec::decode(std::string_view bytes) const {
  Body body;
  body.fills_in = true;
  const auto unknown =
      read_fields(bytes, body, kInfillFields, kCompletionFields, openai::generate_fields(),
                  openai::format_fields(), openai::unsupported_fields(), openai::ignored_fields());
  if (!unknown) return fail(unknown.error());
  body.work.prompts.front() = TextPrompt{.text = body.extra + body.input_prefix + body.middle};
  body.suffix = std::move(body.input_suffix);
  if (auto settled = settle(body); !settled) return fail(settled.error());
  return make_call(std::move(body), *unknown);
}

}  // namespace autoglm::protocol::llama
