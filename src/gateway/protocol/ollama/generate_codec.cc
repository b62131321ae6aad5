#include "gateway/protocol/ollama/generate_codec.h"

#include "gateway/protocol/ollama/answer_encoder.h"
#include "gateway/protocol/ollama/fields.h"

#include <array>
#include <string>
#include <utility>

namespace autoglm::protocol::ollama {

namespace {

template <std::string Body::* kMember>
Result<void> read_text(const JsonValue& value, Body& body) {
  return value.read_string(body.*kMember);
}

Result<void> read_suffix(const JsonValue& value, Body& body) { return value.read_string(body.suffix); }

Result<void> read_raw(const JsonValue& value, Body& body) {
  const auto flag = value.as_bool();
  if (!flag) return fail(flag.error());
  body.raw = *flag;
  return {};
}

Result<void> no_template(const JsonValue& value, Body& /*body*/) {
  return refuse_unless_empty(
      value, "the model's own template is used; send the rendered prompt with \"raw\": true instead");
}

Result<void> no_context(const JsonValue& value, Body& /*body*/) {
  return refuse_unless_empty(value, "send the conversation to /api/chat instead");
}

Result<void> no_images(const JsonValue& value, Body& /*body*/) {
  return refuse_unless_empty(value, "this model reads text only");
}

constexpr auto kGenerateFields = std::to_array<JsonField<Body>>({{"prompt", read_text<&Body::prompt>},
                                                                 {"system", read_text<&Body::system>},
                                                                 {"suffix", read_suffix},
                                                                 {"raw", read_raw},
                                                                 {"template", no_template},
                                                                 {"context", no_context},
                                                                 {"images", no_images}});

Result<void> settle_prompt(Body& body) {
  Prompt& prompt = body.work.prompts.front();
  if (body.raw && !body.system.empty())
    return fail(invalid_field("system", "system has no place in a raw prompt: write it into the prompt"));
  if (body.raw || !body.suffix.empty()) {
    prompt = TextPrompt{.text = std::move(body.prompt), .suffix = std::move(body.suffix)};
    return {};
  }
  if (!body.system.empty())
    body.chat.messages.push_back({.role = "system", .content = std::move(body.system)});
  body.chat.messages.push_back({.role = "user", .content = std::move(body.prompt)});
  prompt = std::move(body.chat);
  return {};
}

}  // namespace

Result<DecodedCall> GenerateCodec::decode(std::string_view bytes) const {
  Body body;
  const auto unknown = read_fields(bytes, body, kGenerateFields, shared_fields());
  if (!unknown) return fail(unknown.error());
  if (auto settled = settle(body); !settled) return fail(settled.error());
  const bool asks_nothing = body.prompt.empty() && body.suffix.empty();
  if (auto settled = settle_prompt(body); !settled) return fail(settled.error());
  return make_call(std::move(body), AnswerShape::kGenerate, asks_nothing, *unknown);
}

Result<DecodedCall> GenerateCodec::outline(std::string_view body) const { return decode(body); }

}  // namespace autoglm::protocol::ollama
