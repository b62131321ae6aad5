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

Result<void> read_ids(const JsonValue& value, std::vector<TokenId>& tokens) {
  tokens.clear();
  return value.for_each_item([&](const JsonValue& item) -> Result<void> {
    const auto token = item.as_integer(0, std::numeric_limits<TokenId>::max());
    if (!token) return fail(token.error());
    tokens.push_back(static_cast<TokenId>(*token));
    return {};
  });
}

Result<void> read_tokens(const JsonValue& value, DetokenizeBody& body) {
  body.has_tokens = true;
  return read_ids(value, body.call.tokens);
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

std::string tokenize_call(const TokenizeRequest& request) {
  std::string out = fmt::format(R"({{"add_special_tokens":{})", request.add_special);
  if (const auto* text = std::get_if<TextPrompt>(&request.prompt)) {
    out += R"(,"prompt":)";
    append_json_string(out, text->text);
  } else if (const auto* chat = std::get_if<ChatPrompt>(&request.prompt)) {
    out += R"(,"messages":)";
    openai::append_messages(out, *chat);
  }
  return out + '}';
}

Result<TokenizeResult> read_tokenize_result(std::string_view body) {
  TokenizeResult result;
  auto read = visit_json_object(body, [&](std::string_view key, const JsonValue& value) -> Result<void> {
    if (key == "max_model_len") {
      const auto length = value.as_integer(0, std::numeric_limits<std::uint32_t>::max());
      if (!length) return fail(length.error());
      result.context_length = static_cast<std::uint32_t>(*length);
    }
    return key == "tokens" ? read_ids(value, result.tokens) : Result<void>();
  });
  if (!read) return fail(read.error());
  return result;
}

std::string detokenize_call(std::span<const TokenId> tokens) {
  return fmt::format(R"({{"tokens":[{}]}})", fmt::join(tokens, ","));
}

Result<std::string> read_detokenize_result(std::string_view body) {
  std::string text;
  auto read = visit_json_object(body, [&](std::string_view key, const JsonValue& value) -> Result<void> {
    if (key != "prompt") return {};
    auto prompt = value.as_string();
    if (!prompt) return fail(prompt.error());
    text = std::move(*prompt);
    return {};
  });
  if (!read) return fail(read.error());
  return text;
}

}  // namespace autoglm::protocol::vllm
