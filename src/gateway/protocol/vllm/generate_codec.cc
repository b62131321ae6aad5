#include "gateway/protocol/vllm/generate_codec.h"

#include "base/json_string.h"
#include "gateway/protocol/openai/error.h"
#include "gateway/protocol/openai/format_fields.h"
#include "gateway/protocol/openai/generate_fields.h"
#include "gateway/protocol/openai/other_fields.h"
#include "gateway/protocol/openai/outline.h"
#include "gateway/protocol/openai/prompt_fields.h"

#include <array>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace autoglm::protocol::vllm {

namespace {

constexpr std::uint32_t kDefaultMaxTokens = 16;  // vLLM's SamplingParams

Result<void> read_delimiter(const JsonValue& value, openai::GenerateBody& body) {
  const auto text = value.as_string();
  if (!text || (*text != "\n" && *text != std::string_view("\0", 1))) {
    return fail(value.wrong(R"("\n" or "\u0000")"));
  }
  body.stream_delimiter = text->front();
  return {};
}

constexpr auto kGenerateFields =
    std::to_array<JsonField<openai::GenerateBody>>({{"prompt", openai::read_prompts},
                                                    {"suffix", openai::read_suffix},
                                                    {"parse_special", openai::read_parse_special},
                                                    {"stream_delimiter", read_delimiter}});

/// The prompts, each of which is the beginning of `per_prompt` texts.
struct Beginnings {
  std::vector<std::string> prompts;
  std::uint32_t per_prompt = 1;

  std::size_t texts() const { return prompts.size() * per_prompt; }
  const std::string& of_text(std::size_t index) const { return prompts[index / per_prompt]; }
};

class TextsEncoder final : public AnswerEncoder {
 public:
  TextsEncoder(std::shared_ptr<const Beginnings> beginnings, bool stream, char delimiter)
      : beginnings_(std::move(beginnings)),
        texts_(beginnings_->texts()),
        stream_(stream),
        delimiter_(delimiter) {}

  std::string_view content_type() const override {
    return stream_ ? "application/octet-stream" : "application/json";
  }

  void events(const EventBatch& batch, std::string& out) override {
    bool grown = false;
    for (const TokenEvent& event : batch.events) {
      texts_[event.choice] += event.text;
      grown |= !event.text.empty();
    }
    if (stream_ && grown) append_texts(out);
  }

  void end(const Usage& /*usage*/, std::string& out) override {
    if (!stream_) append_texts(out);
  }

  void failure(const Error& error, std::string& out) override {
    out += openai::error_body(error);
    out += delimiter_;
  }

 private:
  void append_texts(std::string& out) const {
    out += R"({"text": [)";
    for (std::size_t i = 0; i < texts_.size(); ++i) {
      if (i > 0) out += ", ";
      append_json_string(out, beginnings_->of_text(i) + texts_[i]);
    }
    out += "]}";
    if (stream_) out += delimiter_;
  }

  std::shared_ptr<const Beginnings> beginnings_;
  std::vector<std::string> texts_;  // behind these
  bool stream_;
  char delimiter_;
};

}  // namespace

Result<DecodedCall> GenerateCodec::decode(std::string_view bytes) const {
  openai::GenerateBody body;
  const auto unknown =
      read_fields(bytes, body, kGenerateFields, openai::generate_fields(), openai::format_fields(),
                  openai::unsupported_fields(), openai::ignored_fields());
  if (!unknown) return fail(unknown.error());
  if (!body.has_prompt) {
    return fail(invalid_field("prompt",
                              "prompt is missing: send e.g. {\"prompt\": \"Hello\", \"max_tokens\": 50}",
                              "missing_required_parameter"));
  }
  if (auto settled = openai::settle_prompts(body); !settled) return fail(settled.error());
  if (auto settled = openai::settle_fields(body, kDefaultMaxTokens); !settled) return fail(settled.error());
  auto beginnings = std::make_shared<Beginnings>(Beginnings{.prompts = {}, .per_prompt = body.work.n});
  for (const Prompt& prompt : body.work.prompts) {
    const auto* text = std::get_if<TextPrompt>(&prompt);
    beginnings->prompts.push_back(text != nullptr ? text->text : std::string());
  }
  return DecodedCall{.model = std::move(body.model),
                     .work = std::move(body.work),
                     .stream = body.stream,
                     .protocol = WireBody::Protocol::kGenerate,
                     .priority = body.priority,
                     .unknown_fields = *unknown,
                     .make_encoder = [beginnings = std::shared_ptr<const Beginnings>(std::move(beginnings)),
                                      stream = body.stream, delimiter = body.stream_delimiter](
                                         const AnswerFacts& /*facts*/) -> std::unique_ptr<AnswerEncoder> {
                       return std::make_unique<TextsEncoder>(beginnings, stream, delimiter);
                     }};
}

Result<DecodedCall> GenerateCodec::outline(std::string_view body) const {
  return openai::outline(*this, WireBody::Protocol::kGenerate, body);
}

}  // namespace autoglm::protocol::vllm
