#include "gateway/protocol/vllm/tokenize.h"

#include "base/json_string.h"
#include "gateway/protocol/json/fields.h"
#include "gateway/protocol/openai/chat_messages.h"
#include "gateway/protocol/openai/generate_fields.h"

#include <fmt/format.h>

#include <array>
#include <limits>
#include <utility>

namespace autoglm::protocol::vllm {

namespace {

struct TokenizeBody {
  TokenizeCall call;
  bool has_prompt = false;
};

template <class Body>
Result<void> read_model(const JsonValue& value, Body& body) {
  auto name = value.as_string();
  if (!name) return fail(name.error());
  body.call.model = std::move(*name);
  return {};
}

Result<void> read_prompt(const JsonValue& value, TokenizeBody& body) {
  auto text = value.as_string();
  if (!text) return fail(text.error());
  body.call.work.prompt = TextPrompt{std::move(*text)};
  body.has_prompt = true;
  return {};
}

Result<void> read_messages(const JsonValue& value, TokenizeBody& body) {
  auto messages = openai::read_messages(value);
  if (!messages) return fail(messages.error());
  body.call.work.prompt = std::move(*messages);
  body.has_prompt = true;
  return {};
}

Result<void> read_add_special(const JsonValue& value, TokenizeBody& body) {
  const auto flag = value.as_bool();
  if (!flag) return fail(flag.error());
  body.call.work.add_special = *flag;
  return {};
}

constexpr auto kTokenizeFields =
    std::to_array<JsonField<TokenizeBody>>({{"model", read_model<TokenizeBody>},
                                            {"prompt", read_prompt},
                                            {"messages", read_messages},
                                            {"add_special_tokens", read_add_special}});

struct DetokenizeBody {
  DetokenizeCall call;
  bool has_tokens = false;
};

Result<void> read_tokens(const JsonValue& value, DetokenizeBody& body) {
  body.has_tokens = true;
  body.call.tokens.clear();
  return value.for_each_item([&](const JsonValue& item) -> Result<void> {
    const auto token = item.as_integer(0, std::numeric_limits<TokenId>::max());
    if (!token) return fail(token.error());
    body.call.tokens.push_back(static_cast<TokenId>(*token));
    return {};
  });
}

constexpr auto kDetokenizeFields = std::to_array<JsonField<DetokenizeBody>>(
    {{"model", read_model<DetokenizeBody>}, {"tokens", read_tokens}});

Error missing(const char* field, const char* example) {
  return invalid_field(field, fmt::format("{} is missing: send e.g. {}", field, example),
                       "missing_required_parameter");
}

}  // namespace

Result<TokenizeCall> decode_tokenize(std::string_view bytes) {
  TokenizeBody body;
  if (auto read = read_fields(bytes, body, kTokenizeFields); !read) return fail(read.error());
  if (!body.has_prompt) return fail(missing("prompt", "{\"prompt\": \"Hello\"}"));
  return std::move(body.call);
}

std::string tokenize_body(const TokenizeResult& result) {
  return fmt::format(R"({{"count":{},"max_model_len":{},"tokens":[{}]}})", result.tokens.size(),
                     result.context_length, fmt::join(result.tokens, ","));
}

Result<DetokenizeCall> decode_detokenize(std::string_view bytes) {
  DetokenizeBody body;
  if (auto read = read_fields(bytes, body, kDetokenizeFields); !read) return fail(read.error());
  if (!body.has_tokens) return fail(missing("tokens", "{\"tokens\": [1, 2, 3]}"));
  return std::move(body.call);
}

std::string detokenize_body(std::string_view text) {
  std::string out = R"({"prompt":)";
  append_json_string(out, text);
  out += '}';
  return out;
}

}  // namespace autoglm::protocol::vllm
