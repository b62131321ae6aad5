#include "gateway/protocol/ollama/embed_codec.h"

#include "base/json_string.h"
#include "gateway/protocol/ollama/answer_encoder.h"
#include "gateway/protocol/ollama/fields.h"

#include <fmt/format.h>

#include <array>
#include <chrono>
#include <cmath>
#include <iterator>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace autoglm::protocol::ollama {

namespace {

constexpr std::size_t kMostInputs = 2048;

struct EmbedBody {
  std::string model;
  EmbedRequest work;
};

Result<void> read_model(const JsonValue& value, EmbedBody& body) { return value.read_string(body.model); }

Result<void> read_input(const JsonValue& value, EmbedBody& body) {
  auto texts = value.as_strings(kMostInputs);
  if (!texts) return fail(texts.error());
  body.work.inputs.clear();
  if (value.is_string() && texts->front().empty()) return {};
  for (std::string& text : *texts) body.work.inputs.emplace_back(TextPrompt{.text = std::move(text)});
  return {};
}

Result<void> read_prompt(const JsonValue& value, EmbedBody& body) {
  auto text = value.as_string();
  if (!text) return fail(text.error());
  body.work.inputs.clear();
  if (!text->empty()) body.work.inputs.emplace_back(TextPrompt{.text = std::move(*text)});
  return {};
}

Result<void> read_truncate(const JsonValue& value, EmbedBody& body) {
  const auto flag = value.as_bool();
  if (!flag) return fail(flag.error());
  body.work.truncates = *flag;
  return {};
}

Result<void> read_dimensions(const JsonValue& value, EmbedBody& body) {
  const auto dimensions = value.as_integer(0, std::numeric_limits<std::int32_t>::max());
  if (!dimensions) return fail(dimensions.error());
  body.work.dimensions.reset();
  if (*dimensions > 0) body.work.dimensions = static_cast<std::uint32_t>(*dimensions);
  return {};
}

Result<void> read_embed_keep_alive(const JsonValue& value, EmbedBody& /*body*/) {
  return ollama::check_keep_alive(value);
}

/// Of how a model is loaded.
Result<void> check_options(const JsonValue& value, EmbedBody& /*body*/) {
  return value.is_object() ? Result<void>() : fail(value.wrong("an object"));
}

constexpr auto kShared = std::to_array<JsonField<EmbedBody>>(
    {{"model", read_model}, {"keep_alive", read_embed_keep_alive}, {"options", check_options}});
constexpr auto kEmbed = std::to_array<JsonField<EmbedBody>>(
    {{"input", read_input}, {"truncate", read_truncate}, {"dimensions", read_dimensions}});
constexpr auto kEmbeddings = std::to_array<JsonField<EmbedBody>>({{"prompt", read_prompt}});

void append_vector(std::string& out, const std::vector<float>& vector) {
  out += '[';
  for (std::size_t i = 0; i < vector.size(); ++i) {
    if (i > 0) out += ',';
    fmt::format_to(std::back_inserter(out), "{}", std::isfinite(vector[i]) ? vector[i] : 0.0F);
  }
  out += ']';
}

class VectorsEncoder final : public AnswerEncoder {
 public:
  VectorsEncoder(AnswerFacts facts, std::string model, bool only_one)
      : facts_(std::move(facts)), model_(std::move(model)), only_one_(only_one) {}

  std::string_view content_type() const override { return "application/json"; }
  void events(const EventBatch& batch, std::string& /*out*/) override {
    if (batch.answer) answer_ = batch.answer;
  }

  void end(const Usage& usage, std::string& out) override {
    const auto* result = answer_ ? std::get_if<EmbedResult>(answer_.get()) : nullptr;
    const std::vector<std::vector<float>> none;
    const auto& vectors = result != nullptr ? result->vectors : none;
    if (only_one_) {
      out += R"({"embedding":)";
      append_vector(out, vectors.empty() ? std::vector<float>() : vectors.front());
      out += '}';
      return;
    }
    out += R"({"model":)";
    append_json_string(out, model_.empty() ? facts_.model : model_);
    out += R"(,"embeddings":[)";
    for (std::size_t i = 0; i < vectors.size(); ++i) {
      if (i > 0) out += ',';
      append_vector(out, vectors[i]);
    }
    fmt::format_to(
        std::back_inserter(out), R"(],"total_duration":{},"load_duration":0,"prompt_eval_count":{}}})",
        std::chrono::duration_cast<std::chrono::nanoseconds>(facts_.elapsed()).count(), usage.prompt_tokens);
  }

  void failure(const Error& error, std::string& out) override { out = error_body(error); }

 private:
  AnswerFacts facts_;
  std::string model_;
  bool only_one_;
  std::shared_ptr<const WholeAnswer> answer_;
};

DecodedCall make_call(EmbedBody body, std::uint32_t unknown, bool only_one) {
  const bool asks_nothing = body.work.inputs.empty();
  std::string model = body.model;
  return DecodedCall{.model = std::move(body.model),
                     .work = std::move(body.work),
                     .unknown_fields = unknown,
                     .asks_nothing = asks_nothing,
                     .make_encoder = [model = std::move(model),
                                      only_one](const AnswerFacts& facts) -> std::unique_ptr<AnswerEncoder> {
                       return std::make_unique<VectorsEncoder>(facts, model, only_one);
                     }};
}

}  // namespace

Result<DecodedCall> EmbedCodec::decode(std::string_view bytes) const {
  EmbedBody body;
  body.work.truncates = true;
  const auto unknown = read_fields(bytes, body, kEmbed, kShared);
  if (!unknown) return fail(unknown.error());
  return make_call(std::move(body), *unknown, false);
}

Result<DecodedCall> EmbeddingsCodec::decode(std::string_view bytes) const {
  EmbedBody body;
  body.work.normalized = false;
  body.work.truncates = true;
  const auto unknown = read_fields(bytes, body, kEmbeddings, kShared);
  if (!unknown) return fail(unknown.error());
  return make_call(std::move(body), *unknown, true);
}

}  // namespace autoglm::protocol::ollama
