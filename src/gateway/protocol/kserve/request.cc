#include "gateway/protocol/kserve/request.h"

#include "gateway/protocol/openai/format_fields.h"
#include "gateway/protocol/openai/other_fields.h"
#include "gateway/protocol/openai/prompt_fields.h"

#include <fmt/format.h>

#include <array>
#include <limits>
#include <span>
#include <utility>

namespace autoglm::protocol::kserve {

namespace {

constexpr std::uint32_t kDefaultMaxTokens = 16;  // vLLM's SamplingParams

Result<void> assign(Result<bool> flag, bool& target) {
  if (!flag) return fail(std::move(flag).error());
  target = *flag;
  return {};
}

template <bool Body::* kMember>
Result<void> read_flag(const JsonValue& value, Body& body) {
  return assign(value.as_bool(), body.*kMember);
}

Result<void> read_stream(const JsonValue& value, Body& body) { return assign(value.as_bool(), body.stream); }

Result<void> read_excludes(const JsonValue& value, Body& body) {
  return assign(value.as_bool(), body.excludes_input.emplace());
}

Result<void> read_sampling_parameters(const JsonValue& value, Body& body) {
  if (value.is_object()) {
    body.sampling_parameters = value.as_json();
    return {};
  }
  return value.read_string(body.sampling_parameters);
}

Result<void> read_dimensions(const JsonValue& value, Body& body) {
  const auto dimensions = value.as_integer(1, std::numeric_limits<std::int32_t>::max());
  if (!dimensions) return fail(dimensions.error());
  body.dimensions = static_cast<std::uint32_t>(*dimensions);
  return {};
}

Result<void> only_false(const JsonValue& value, Body& /*body*/) {
  const auto flag = value.as_bool();
  if (flag && !*flag) return {};
  return fail(openai::unsupported(value.path(), "false"));
}

Result<void> only_one(const JsonValue& value, Body& /*body*/) {
  if (value.as_integer(1, 1)) return {};
  return fail(openai::unsupported(value.path(), "1"));
}

Result<void> ignore(const JsonValue& /*value*/, Body& /*body*/) { return {}; }

Result<void> read_by(std::span<const JsonField<openai::GenerateBody>> table, std::string_view name,
                     const JsonValue& value, Body& body, bool& found) {
  for (const auto& field : table) {
    if (field.name != name) continue;
    found = true;
    return field.read(value, body);
  }
  return {};
}

/// TensorRT-LLM's names; its examples send empty texts for none.
template <const char* kName>
Result<void> read_as(const JsonValue& value, Body& body) {
  if (value.is_string() && value.as_string()->empty()) return {};
  bool found = false;
  return read_by(openai::generate_fields(), kName, value, body, found);
}
constexpr char kStop[] = "stop";
constexpr char kBadWords[] = "bad_words";
constexpr char kSeed[] = "seed";

constexpr auto kParameters = std::to_array<JsonField<Body>>({
    {"stream", read_stream},
    {"exclude_input_in_output", read_excludes},
    {"sampling_parameters", read_sampling_parameters},
    {"return_finish_reason", read_flag<&Body::tells_finish>},
    {"return_num_input_tokens", read_flag<&Body::tells_input_tokens>},
    {"return_num_output_tokens", read_flag<&Body::tells_output_tokens>},
    {"return_logprobs", only_false},
    {"return_cumulative_logprob", only_false},
    {"dimensions", read_dimensions},
    // TensorRT-LLM's
    {"stop_words", read_as<kStop>},
    {"bad_words", read_as<kBadWords>},
    {"random_seed", read_as<kSeed>},
    {"beam_width", only_one},
    {"return_log_probs", only_false},
    {"pad_id", ignore},
    {"end_id", ignore},
    // Triton's own, about its queues and sequences
    {"priority", ignore},
    {"timeout", ignore},
    {"sequence_id", ignore},
    {"sequence_start", ignore},
    {"sequence_end", ignore},
    {"binary_data_output", ignore},  // of /infer, which reads it
    // Said by the path and the tensors
    {"model", ignore},
});

}  // namespace

Result<void> read_parameter(std::string_view name, const JsonValue& value, Body& body) {
  if (value.is_null()) return {};
  for (const auto& field : kParameters) {
    if (field.name == name) return field.read(value, body);
  }
  bool found = false;
  for (const auto table : {openai::generate_fields(), openai::format_fields(), openai::unsupported_fields(),
                           openai::ignored_fields()}) {
    if (auto read = read_by(table, name, value, body, found); found) return read;
  }
  ++body.unknown;
  return {};
}

Result<void> read_parameters(const JsonValue& value, Body& body) {
  return value.for_each_member(
      [&](std::string_view name, const JsonValue& item) { return read_parameter(name, item, body); });
}

Result<void> settle(Body& body) {
  if (!body.sampling_parameters.empty()) {
    const std::string text = std::exchange(body.sampling_parameters, {});
    auto read = visit_json_object(text, [&](std::string_view name, const JsonValue& value) -> Result<void> {
      if (name == "stream" || name == "sampling_parameters") return {};
      return read_parameter(name, value, body);
    });
    if (!read && read.error().param.empty()) {
      return fail(
          invalid_field("sampling_parameters",
                        "sampling_parameters must be the text of a JSON object: " + read.error().message));
    }
    if (!read) return read;
  }
  if (auto settled = openai::settle_prompts(body); !settled) return settled;
  if (auto settled = openai::settle_fields(body, kDefaultMaxTokens); !settled) return settled;
  if (body.work.n > 1)
    return fail(
        invalid_field("n", fmt::format("n must be 1: a text has one answer here, got {}", body.work.n)));
  if (body.work.refusal) return fail(*std::move(body.work.refusal));
  return {};
}

}  // namespace autoglm::protocol::kserve
