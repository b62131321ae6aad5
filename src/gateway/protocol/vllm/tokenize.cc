#include "gateway/protocol/vllm/tokenize.h"

#include "base/json_string.h"
#include "base/utf8.h"
#include "gateway/protocol/json/fields.h"
#include "gateway/protocol/openai/chat_messages.h"
#include "gateway/protocol/openai/generate_fields.h"

#include <fmt/format.h>

#include <array>
#include <iterator>
#include <limits>
#include <optional>
#include <utility>

namespace autoglm::protocol::vllm {

namespace {

struct TokenizeBody {
  TokenizeCall call;
  bool has_prompt = false;
  bool parse_special = true;
  bool is_llama_servers = false;
  ChatPrompt chat;  // its tools and arguments, in whatever order they come
  std::optional<Error> refusal;
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

Result<void> read_content(const JsonValue& value, TokenizeBody& body) {
  body.is_llama_servers = true;
  return read_prompt(value, body);
}

Result<void> read_messages(const JsonValue& value, TokenizeBody& body) {
  auto messages = openai::read_messages(value, body.refusal);
  if (!messages) return fail(messages.error());
  body.chat.messages = std::move(messages->messages);
  body.has_prompt = true;
  return {};
}

Result<void> read_tools(const JsonValue& value, TokenizeBody& body) {
  body.chat.tools.clear();
  return openai::read_tools(value, body.chat.tools, body.refusal);
}

Result<void> read_template_arguments(const JsonValue& value, TokenizeBody& body) {
  return openai::read_template_arguments(value, body.chat);
}

Result<void> read_add_special(const JsonValue& value, TokenizeBody& body) {
  const auto flag = value.as_bool();
  if (!flag) return fail(flag.error());
  body.call.work.add_special = *flag;
  return {};
}

Result<void> read_flag(const JsonValue& value, bool& target) {
  const auto flag = value.as_bool();
  if (!flag) return fail(flag.error());
  target = *flag;
  return {};
}

Result<void> only_empty(const JsonValue& value, TokenizeBody& body) {
  if (value.is_string() && value.as_string()->empty()) return {};
  if (!body.refusal) body.refusal = openai::unsupported(value.path(), "null");
  return {};
}

constexpr auto kTokenizeFields = std::to_array<JsonField<TokenizeBody>>({
    {"model", read_model<TokenizeBody>},
    {"prompt", read_prompt},
    {"content", read_content},
    {"messages", read_messages},
    {"tools", read_tools},
    {"chat_template_kwargs", read_template_arguments},
    {"chat_template", only_empty},
    {"add_special_tokens", read_add_special},
    {"add_special", read_add_special},
    {"add_generation_prompt",
     [](const JsonValue& value, TokenizeBody& body) {
       return read_flag(value, body.chat.add_generation_prompt);
     }},
    {"continue_final_message",
     [](const JsonValue& value, TokenizeBody& body) {
       return read_flag(value, body.chat.continue_final_message);
     }},
    {"parse_special",
     [](const JsonValue& value, TokenizeBody& body) { return read_flag(value, body.parse_special); }},
    {"return_token_strs",
     [](const JsonValue& value, TokenizeBody& body) { return read_flag(value, body.call.work.with_texts); }},
    {"with_pieces",
     [](const JsonValue& value, TokenizeBody& body) { return read_flag(value, body.call.with_pieces); }},
});

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
  return read_ids(value, body.call.work.tokens);
}

constexpr auto kDetokenizeFields = std::to_array<JsonField<DetokenizeBody>>(
    {{"model", read_model<DetokenizeBody>}, {"tokens", read_tokens}});

/// A token's text, as far as it is characters.
void append_text(std::string& out, std::string_view bytes) {
  std::string text;
  append_valid_utf8(text, bytes);
  append_json_string(out, text);
}

Error missing(const char* field, const char* example) {
  return invalid_field(field, fmt::format("{} is missing: send e.g. {}", field, example),
                       "missing_required_parameter");
}

}  // namespace

Result<TokenizeCall> decode_tokenize(std::string_view bytes) {
  TokenizeBody body;
  if (auto read = read_fields(bytes, body, kTokenizeFields); !read) return fail(read.error());
  if (!body.has_prompt) return fail(missing("prompt", "{\"prompt\": \"Hello\"}"));
  if (body.refusal) return fail(*body.refusal);
  TokenizeRequest& work = body.call.work;
  if (!body.chat.messages.empty()) work.prompt = std::move(body.chat);
  if (auto* text = std::get_if<TextPrompt>(&work.prompt)) text->parse_special = body.parse_special;
  if (body.is_llama_servers && !work.add_special) work.add_special = false;
  work.with_texts |= body.call.with_pieces;
  return std::move(body.call);
}

std::string tokenize_body(const TokenizeResult& result, bool with_pieces) {
  std::string out = fmt::format(R"({{"count":{},"max_model_len":{},"tokens":[)", result.tokens.size(),
                                result.context_length);
  for (std::size_t i = 0; i < result.tokens.size(); ++i) {
    if (i > 0) out += ',';
    if (!with_pieces || i >= result.texts.size()) {
      fmt::format_to(std::back_inserter(out), "{}", result.tokens[i]);
      continue;
    }
    fmt::format_to(std::back_inserter(out), R"({{"id":{},"piece":)", result.tokens[i]);
    append_text(out, result.texts[i]);
    out += '}';
  }
  out += ']';
  for (std::size_t i = 0; !with_pieces && i < result.texts.size(); ++i) {
    out += i == 0 ? R"(,"token_strs":[)" : ",";
    append_text(out, result.texts[i]);
  }
  return out + (with_pieces || result.texts.empty() ? "}" : "]}");
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
  const auto word = [](bool flag) { return flag ? "true" : "false"; };
  std::string out = fmt::format(R"({{"return_token_strs":{})", word(request.with_texts));
  if (request.add_special)
    fmt::format_to(std::back_inserter(out), R"(,"add_special_tokens":{})", word(*request.add_special));
  if (const auto* text = std::get_if<TextPrompt>(&request.prompt)) {
    fmt::format_to(std::back_inserter(out), R"(,"parse_special":{},"prompt":)", word(text->parse_special));
    append_json_string(out, text->text);
  } else if (const auto* chat = std::get_if<ChatPrompt>(&request.prompt)) {
    fmt::format_to(std::back_inserter(out),
                   R"(,"add_generation_prompt":{},"continue_final_message":{},"messages":)",
                   word(chat->add_generation_prompt), word(chat->continue_final_message));
    openai::append_messages(out, *chat);
    if (!chat->tools.empty()) openai::append_tools(out += R"(,"tools":)", chat->tools);
    for (const char* before = R"(,"chat_template_kwargs":{)";
         const auto& [name, json] : chat->template_arguments) {
      append_json_string(out += std::exchange(before, ","), name);
      out.append(":").append(json);
    }
    if (!chat->template_arguments.empty()) out += '}';
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
    if (key == "token_strs") {
      return value.for_each_item(
          [&](const JsonValue& item) { return item.read_string(result.texts.emplace_back()); });
    }
    return key == "tokens" ? read_ids(value, result.tokens) : Result<void>();
  });
  if (!read) return fail(read.error());
  return result;
}

std::string detokenize_call(std::span<const TokenId> tokens) {
  return fmt::format(R"({{"tokens":[{}]}})", fmt::join(tokens, ","));
}

Result<DetokenizeResult> read_detokenize_result(std::string_view body) {
  DetokenizeResult result;
  auto read = visit_json_object(body, [&](std::string_view key, const JsonValue& value) -> Result<void> {
    if (key != "prompt") return {};
    auto prompt = value.as_string();
    if (!prompt) return fail(prompt.error());
    result.text = std::move(*prompt);
    return {};
  });
  if (!read) return fail(read.error());
  return result;
}

}  // namespace autoglm::protocol::vllm
