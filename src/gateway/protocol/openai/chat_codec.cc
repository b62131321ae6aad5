#include "gateway/protocol/openai/chat_codec.h"

#include "gateway/protocol/openai/generate_fields.h"
#include "gateway/protocol/openai/text_encoder.h"

#include <fmt/format.h>
#include <algorithm>
#include <array>
#include <utility>

namespace autoglm::protocol::openai {

namespace {

constexpr std::array<std::string_view, 5> kRoles = {"system", "developer", "user", "assistant", "tool"};

Result<std::string> read_part(const JsonValue& part) {
  std::string type;
  std::string text;
  bool has_text = false;
  auto visited = part.for_each_member([&](std::string_view key, const JsonValue& item) -> Result<void> {
    if (key != "type" && key != "text") return {};
    auto word = item.as_string();
    if (!word) return fail(word.error());
    has_text |= key == "text";
    (key == "type" ? type : text) = std::move(*word);
    return {};
  });
  if (!visited) return fail(visited.error());
  if (type != "text" || !has_text) {
    return fail(invalid_field(part.path(),
                              fmt::format("{} must be {{\"type\": \"text\", \"text\": …}}: this model reads "
                                          "text only",
                                          part.path())));
  }
  return text;
}

Result<std::string> read_content(const JsonValue& value) {
  if (value.is_null()) return std::string();  // an assistant's turn that was only a tool call
  if (value.is_string()) return value.as_string();
  if (!value.is_array()) return fail(value.wrong("a string or a list of text parts"));
  std::string content;
  auto visited = value.for_each_item([&](const JsonValue& part) -> Result<void> {
    auto text = read_part(part);
    if (!text) return fail(text.error());
    content += *text;
    return {};
  });
  if (!visited) return fail(visited.error());
  return content;
}

Result<ChatMessage> read_message(const JsonValue& value) {
  ChatMessage message;
  bool has_content = false;
  auto visited = value.for_each_member([&](std::string_view key, const JsonValue& item) -> Result<void> {
    if (key == "role") {
      auto role = item.as_string();
      if (!role || std::ranges::find(kRoles, *role) == kRoles.end()) {
        return fail(item.wrong("one of system, developer, user, assistant, tool"));
      }
      message.role = *role == "developer" ? "system" : std::move(*role);  // OpenAI's newer word for it
    } else if (key == "content") {
      auto content = read_content(item);
      if (!content) return fail(content.error());
      message.content = std::move(*content);
      has_content = true;
    } else if (key == "name" && !item.is_null()) {
      auto name = item.as_string();
      if (!name) return fail(name.error());
      message.name = std::move(*name);
    }
    return {};
  });
  if (!visited) return fail(visited.error());
  for (const auto& [missing, field] :
       {std::pair(message.role.empty(), "role"), std::pair(!has_content, "content")}) {
    if (missing && !(message.role == "assistant" && field == std::string_view("content"))) {
      return fail(invalid_field(fmt::format("{}.{}", value.path(), field),
                                fmt::format("{}.{} is missing", value.path(), field),
                                "missing_required_parameter"));
    }
  }
  return message;
}

Result<void> read_chat_messages(const JsonValue& value, GenerateBody& body) {
  auto messages = read_messages(value);
  if (!messages) return fail(messages.error());
  body.work.prompt = std::move(*messages);
  body.has_prompt = true;
  return {};
}

constexpr auto kChatFields = std::to_array<JsonField<GenerateBody>>({{"messages", read_chat_messages}});

}  // namespace

Result<ChatPrompt> read_messages(const JsonValue& value) {
  ChatPrompt prompt;
  auto visited = value.for_each_item([&](const JsonValue& item) -> Result<void> {
    auto message = read_message(item);
    if (!message) return fail(message.error());
    prompt.messages.push_back(std::move(*message));
    return {};
  });
  if (!visited) return fail(visited.error());
  if (prompt.messages.empty()) {
    return fail(invalid_field(value.path(), value.path() + " must hold at least one message"));
  }
  return prompt;
}

Result<DecodedCall> ChatCodec::decode(std::string_view bytes) const {
  GenerateBody body;
  const auto unknown = read_fields(bytes, body, kChatFields, generate_fields(), unsupported_fields());
  if (!unknown) return fail(unknown.error());
  if (!body.has_prompt) {
    return fail(invalid_field(
        "messages",
        "messages is missing: send e.g. {\"messages\": [{\"role\": \"user\", \"content\": \"Hello\"}]}",
        "missing_required_parameter"));
  }
  return make_call(std::move(body), AnswerShape::kChat, *unknown);
}

}  // namespace autoglm::protocol::openai
