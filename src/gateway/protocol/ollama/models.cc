#include "gateway/protocol/ollama/models.h"

#include "base/json_string.h"
#include "gateway/protocol/json/edit.h"
#include "gateway/protocol/json/fields.h"
#include "gateway/protocol/ollama/answer_encoder.h"

#include <fmt/format.h>

#include <array>

namespace autoglm::protocol::ollama {

namespace {

// Clients cut digests to twelve characters; this is none, and nobody takes it for one.
constexpr std::string_view kNoDigest = "0000000000000000000000000000000000000000000000000000000000000000";
constexpr std::size_t kMostBody = std::size_t{64} << 10U;
constexpr std::string_view kDetails =
    R"({"parent_model":"","format":"","family":"","families":[],"parameter_size":"","quantization_level":""})";

std::string tagged(const std::string& name) { return name.contains(':') ? name : name + ":latest"; }

std::string describe(const ModelCard& card) {
  const std::string name = json_string(tagged(card.name));
  return fmt::format(R"({{"name":{},"model":{},"modified_at":"{}","size":0,"digest":"{}","details":{})", name,
                     name, timestamp(card.created), kNoDigest, kDetails);
}

Result<void> read_name(const JsonValue& value, std::string& name) {
  return name.empty() ? value.read_string(name) : Result<void>();
}

Result<void> ignore(const JsonValue& /*value*/, std::string& /*name*/) { return {}; }

constexpr auto kNameFields =
    std::to_array<JsonField<std::string>>({{"model", read_name}, {"name", read_name}, {"verbose", ignore}});

}  // namespace

std::string tags_body(std::span<const ModelCard> cards) {
  std::string out = R"({"models":[)";
  for (const ModelCard& card : cards) {
    if (&card != &cards.front()) out += ',';
    out += describe(card) + '}';
  }
  return out + "]}";
}

std::string ps_body(std::span<const ModelCard> cards) {
  std::string out = R"({"models":[)";
  for (const ModelCard& card : cards) {
    if (&card != &cards.front()) out += ',';
    out += describe(card);
    out += fmt::format(R"(,"expires_at":"9999-12-31T23:59:59Z","size_vram":0,"context_length":{}}})",
                       card.context_length);
  }
  return out + "]}";
}

std::string version_body() {
  return fmt::format(R"({{"version":"{}","server":"open-autoglm"}})", kApiVersion);
}

Result<std::string> read_model_name(std::string_view body) {
  if (body.size() > kMostBody)
    return fail(Error{.code = ErrorCode::kPayloadTooLarge,
                      .origin = Origin::kClient,
                      .message = fmt::format("a body that names a model has at most {} bytes", kMostBody),
                      .reason = "body_too_large"});
  std::string name;
  if (auto read = read_fields(body, name, kNameFields); !read) return fail(read.error());
  if (name.empty())
    return fail(invalid_field("model", R"(model is missing: send e.g. {"model": "smollm2"})",
                              "missing_required_parameter"));
  return name;
}

namespace {

std::string capabilities_of(const ModelCard& card, std::string_view chat_template) {
  if (card.task == ModelTask::kEmbed) return R"(["embedding"])";
  if (card.task == ModelTask::kRank) return "[]";  // Ollama has no word for it
  std::string capabilities = R"(["completion")";
  // As Ollama does it: a template that speaks of tools can show them to the model.
  if (chat_template.contains("tools")) capabilities += R"(,"tools")";
  if (chat_template.contains("enable_thinking") || chat_template.contains("<think>"))
    capabilities += R"(,"thinking")";
  return capabilities + ']';
}

}  // namespace

std::string show_body(const ModelCard& card, std::string_view tokenizer_json) {
  std::string parameters;
  for (const SamplingDefault& number : card.sampling) {
    const bool renamed = number.name == "repetition_penalty";
    parameters +=
        fmt::format("{} {}\n", renamed ? "repeat_penalty" : std::string_view(number.name), number.value);
  }
  const std::string_view written =
      tokenizer_json.empty() ? std::string_view() : member_value(tokenizer_json, "chat_template");
  const std::string_view tmpl = written.starts_with('"') ? written : R"("")";
  return fmt::format(
      R"({{"modelfile":"","parameters":{},"template":{},"system":{},"details":{},)"
      R"("model_info":{{"general.architecture":"unknown","general.name":{},"unknown.context_length":{}}},)"
      R"("capabilities":{},"modified_at":"{}"}})",
      json_string(parameters), tmpl, json_string(card.system_message), kDetails, json_string(card.name),
      card.context_length, capabilities_of(card, tmpl), timestamp(card.created));
}

Error managed_elsewhere() {
  return Error{.code = ErrorCode::kUnimplemented,
               .origin = Origin::kClient,
               .message =
                   "models are managed by this server's configuration: name them in `models:`, or fetch them "
                   "with `open-autoglm pull`; GET /api/tags lists those that are served",
               .reason = "managed_by_configuration"};
}

}  // namespace autoglm::protocol::ollama
