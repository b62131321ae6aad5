#include "gateway/protocol/openai/embeddings_codec.h"

#include "base/base64.h"
#include "base/json_string.h"
#include "gateway/protocol/json/fields.h"
#include "gateway/protocol/openai/outline.h"
#include "gateway/protocol/openai/prompt_fields.h"

#include <fmt/format.h>

#include <bit>
#include <cmath>
#include <iterator>
#include <span>
#include <string>
#include <utility>

namespace autoglm::protocol::openai {

namespace {

constexpr std::size_t kMostInputs = 2048;         // as OpenAI has it
constexpr std::int64_t kMostDimensions = 65'536;  // the model has a limit of its own

static_assert(std::endian::native == std::endian::little, "base64 is of little-endian floats");

struct EmbeddingsBody {
  std::string model;
  EmbedRequest work;
  std::uint8_t priority = 0;
  bool base64 = false;
};

Result<void> read_model(const JsonValue& value, EmbeddingsBody& body) {
  return value.read_string(body.model);
}

Result<void> read_input(const JsonValue& value, EmbeddingsBody& body) {
  auto read = read_prompt_list(value, kMostInputs, body.work.inputs);
  if (!read) return read;
  for (std::size_t i = 0; i < body.work.inputs.size(); ++i) {
    const Prompt& input = body.work.inputs[i];
    const auto* text = std::get_if<TextPrompt>(&input);
    const bool empty = text != nullptr ? text->text.empty() : std::get<TokenPrompt>(input).tokens.empty();
    if (!empty) continue;
    const std::string field =
        body.work.inputs.size() == 1 ? value.path() : fmt::format("{}[{}]", value.path(), i);
    return fail(invalid_field(field, field + " is empty: send a text, or leave it out"));
  }
  return {};
}

Result<void> read_encoding(const JsonValue& value, EmbeddingsBody& body) {
  std::string encoding;
  if (!value.read_string(encoding) || (encoding != "float" && encoding != "base64"))
    return fail(value.wrong("float or base64"));
  body.base64 = encoding == "base64";
  return {};
}

Result<void> read_dimensions(const JsonValue& value, EmbeddingsBody& body) {
  const auto dimensions = value.as_integer(1, kMostDimensions);
  if (!dimensions) return fail(dimensions.error());
  body.work.dimensions = static_cast<std::uint32_t>(*dimensions);
  return {};
}

/// vLLM's; of its values only the one that means the model's own limit.
Result<void> read_truncation(const JsonValue& value, EmbeddingsBody& body) {
  if (!value.as_integer(-1, -1)) return fail(value.wrong("-1, which keeps what the model can read"));
  body.work.truncates = true;
  return {};
}

Result<void> read_priority(const JsonValue& value, EmbeddingsBody& body) {
  const auto priority = value.as_integer(0, 9);
  if (!priority) return fail(priority.error());
  body.priority = static_cast<std::uint8_t>(*priority);
  return {};
}

Result<void> read_normalize(const JsonValue& value, EmbeddingsBody& body) {
  const auto flag = value.as_bool();
  if (!flag) return fail(flag.error());
  body.work.normalized = *flag;
  return {};
}

Result<void> ignore(const JsonValue& /*value*/, EmbeddingsBody& /*body*/) { return {}; }

constexpr auto kEmbeddingsFields = std::to_array<JsonField<EmbeddingsBody>>({
    {"model", read_model},
    {"input", read_input},
    {"encoding_format", read_encoding},
    {"dimensions", read_dimensions},
    {"truncate_prompt_tokens", read_truncation},
    {"normalize", read_normalize},
    {"priority", read_priority},
    {"user", ignore},
});

class EmbeddingsEncoder final : public AnswerEncoder {
 public:
  EmbeddingsEncoder(std::string model, bool base64) : model_(std::move(model)), base64_(base64) {}

  std::string_view content_type() const override { return "application/json"; }
  void events(const EventBatch& batch, std::string& /*out*/) override {
    if (batch.answer) answer_ = batch.answer;
  }
  void end(const Usage& usage, std::string& out) override {
    out += R"({"object":"list","data":[)";
    const auto* result = answer_ ? std::get_if<EmbedResult>(&*answer_) : nullptr;
    for (std::size_t i = 0; result != nullptr && i < result->vectors.size(); ++i) {
      if (i > 0) out += ',';
      fmt::format_to(std::back_inserter(out), R"({{"object":"embedding","index":{},"embedding":)", i);
      append(result->vectors[i], out);
      out += '}';
    }
    out += R"(],"model":)";
    append_json_string(out, model_);
    fmt::format_to(std::back_inserter(out), R"(,"usage":{{"prompt_tokens":{0},"total_tokens":{0}}}}})",
                   usage.prompt_tokens);
  }
  void failure(const Error& error, std::string& out) override { out = openai::error_body(error); }

 private:
  void append(std::span<const float> vector, std::string& out) const {
    if (base64_) {
      out += '"';
      append_base64(out, std::as_bytes(vector));
      out += '"';
      return;
    }
    out += '[';
    for (std::size_t i = 0; i < vector.size(); ++i) {
      if (i > 0) out += ',';
      fmt::format_to(std::back_inserter(out), "{}",
                     std::isfinite(vector[i]) ? vector[i] : 0);  // as JSON has it
    }
    out += ']';
  }

  std::string model_;
  bool base64_;
  std::shared_ptr<const WholeAnswer> answer_;
};

}  // namespace

Result<DecodedCall> EmbeddingsCodec::decode(std::string_view bytes) const {
  EmbeddingsBody body;
  const auto unknown = read_fields(bytes, body, kEmbeddingsFields);
  if (!unknown) return fail(unknown.error());
  if (body.work.inputs.empty()) {
    return fail(invalid_field("input", "input is missing: send e.g. {\"input\": \"Hello\"}",
                              "missing_required_parameter"));
  }
  return DecodedCall{.model = std::move(body.model),
                     .work = std::move(body.work),
                     .protocol = WireBody::Protocol::kEmbeddings,
                     .priority = body.priority,
                     .unknown_fields = *unknown,
                     .make_encoder = [base64 = body.base64](AnswerFacts facts) {
                       return std::make_unique<EmbeddingsEncoder>(std::move(facts.model), base64);
                     }};
}

Result<DecodedCall> EmbeddingsCodec::outline(std::string_view body) const {
  return openai::outline(*this, WireBody::Protocol::kEmbeddings, body);
}

}  // namespace autoglm::protocol::openai
