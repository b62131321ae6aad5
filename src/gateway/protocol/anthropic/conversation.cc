#include "gateway/protocol/anthropic/conversation.h"

#include "base/utf8.h"

#include <fmt/format.h>

#include <map>
#include <string_view>
#include <utility>

namespace autoglm::protocol::anthropic {

namespace {

Result<std::string> type_of(const JsonValue& block) {
  std::string type;
  auto visited = block.for_each_member([&](std::string_view key, const JsonValue& item) -> Result<void> {
    return key == "type" ? item.read_string(type) : Result<void>();
  });
  if (!visited) return fail(visited.error());
  if (type.empty()) return fail(missing(block.path() + ".type"));
  return type;
}

/// The member of that name, which must be a string.
Result<std::string> text_in(const JsonValue& block, std::string_view name) {
  std::string text;
  bool found = false;
  auto visited = block.for_each_member([&](std::string_view key, const JsonValue& item) -> Result<void> {
    if (key != name || item.is_null()) return {};
    found = true;
    return item.read_string(text);
  });
  if (!visited) return fail(visited.error());
  if (!found) return fail(missing(fmt::format("{}.{}", block.path(), name)));
  return text;
}

void add_line(std::string& text, std::string_view more) {
  if (!text.empty() && !more.empty()) text += '\n';
  text += more;
}

void refuse_block(const JsonValue& block, std::string_view type, MessagesBody& body) {
  const bool seen = type == "image" || type == "document";
  refuse(body, block.path(),
         fmt::format("{} is of type {}: {}", block.path(), excerpt(type, 64),
                     seen ? "this model reads text only; send what it says as a text block"
                          : "models here know text, thinking, tool_use and tool_result blocks only"));
}

/// A string, or a list of text blocks.
Result<void> read_texts(const JsonValue& value, std::string& text, MessagesBody& body) {
  text.clear();
  if (value.is_string()) return value.read_string(text);
  if (!value.is_array()) return fail(value.wrong("a string or a list of blocks"));
  return value.for_each_item([&](const JsonValue& block) -> Result<void> {
    const auto type = type_of(block);
    if (!type) return fail(type.error());
    if (*type != "text") {
      refuse_block(block, *type, body);
      return {};
    }
    const auto line = text_in(block, "text");
    if (!line) return fail(line.error());
    add_line(text, *line);
    return {};
  });
}

/// Reads the messages of one body, turn by turn.
class Conversation {
 public:
  explicit Conversation(MessagesBody& body) : body_(body) {}

  Result<void> read(const JsonValue& message) {
    std::string role;
    auto visited = message.for_each_member([&](std::string_view key, const JsonValue& item) -> Result<void> {
      if (key != "role") return {};
      if (item.read_string(role) && (role == "user" || role == "assistant" || role == "system")) return {};
      return fail(item.wrong("\"user\" or \"assistant\""));
    });
    if (!visited) return visited;
    if (role.empty()) return fail(missing(message.path() + ".role"));
    bool found = false;
    visited = message.for_each_member([&](std::string_view key, const JsonValue& item) -> Result<void> {
      if (key != "content" || item.is_null()) return {};
      found = true;
      return read_content(item, role);
    });
    if (visited && !found) return fail(missing(message.path() + ".content"));
    return visited;
  }

 private:
  ChatMessage& turn(std::string_view role) {
    auto& messages = body_.chat.messages;
    if (messages.empty() || messages.back().role != role) messages.emplace_back().role = role;
    return messages.back();
  }

  Result<void> read_content(const JsonValue& value, std::string_view role) {
    if (value.is_string()) {
      add_line(turn(role).content, *value.as_string());
      return {};
    }
    if (!value.is_array() || value.item_count() == 0)
      return fail(value.wrong("a string or a list of at least one block"));
    return value.for_each_item([&](const JsonValue& block) { return read_block(block, role); });
  }

  Result<void> read_block(const JsonValue& block, std::string_view role) {
    const auto type = type_of(block);
    if (!type) return fail(type.error());
    if (*type == "text") {
      const auto text = text_in(block, "text");
      if (!text) return fail(text.error());
      add_line(turn(role).content, *text);
      return {};
    }
    const bool assistants = *type == "thinking" || *type == "redacted_thinking" || *type == "tool_use";
    if (assistants && role != "assistant") return fail(misplaced(block, *type, "assistant"));
    if (*type == "tool_result" && role != "user") return fail(misplaced(block, *type, "user"));
    if (*type == "redacted_thinking") return {};  // only the model that encrypted it can read it
    if (*type == "thinking") {
      const auto thought = text_in(block, "thinking");
      if (!thought) return fail(thought.error());
      add_line(turn(role).reasoning, *thought);
      return {};
    }
    if (*type == "tool_use") return read_tool_use(block);
    if (*type == "tool_result") return read_tool_result(block);
    refuse_block(block, *type, body_);
    return {};
  }

  static Error misplaced(const JsonValue& block, std::string_view type, std::string_view role) {
    return invalid_field(
        block.path() + ".type",
        fmt::format("{}.type is {}: only messages of the {} have such blocks", block.path(), type, role));
  }

  Result<void> read_tool_use(const JsonValue& block) {
    ToolCall call;
    auto id = text_in(block, "id");
    if (!id) return fail(id.error());
    auto name = text_in(block, "name");
    if (!name) return fail(name.error());
    call.id = std::move(*id);
    call.name = std::move(*name);
    auto visited = block.for_each_member([&](std::string_view key, const JsonValue& item) -> Result<void> {
      if (key != "input" || item.is_null()) return {};
      if (!item.is_object()) return fail(item.wrong("an object"));
      call.arguments = item.as_json();
      return {};
    });
    if (!visited) return visited;
    if (call.arguments.empty()) return fail(missing(block.path() + ".input"));
    tools_[call.id] = call.name;
    turn("assistant").tool_calls.push_back(std::move(call));
    return {};
  }

  /// A failed call's result begins with "Error: ", since templates have no other place for it.
  Result<void> read_tool_result(const JsonValue& block) {
    auto id = text_in(block, "tool_use_id");
    if (!id) return fail(id.error());
    ChatMessage message{.role = "tool", .content = {}, .name = {}, .reasoning = {}, .tool_calls = {}};
    bool failed = false;
    auto visited = block.for_each_member([&](std::string_view key, const JsonValue& item) -> Result<void> {
      if (item.is_null()) return {};
      if (key == "content") return read_texts(item, message.content, body_);
      if (key != "is_error") return {};
      const auto flag = item.as_bool();
      if (!flag) return fail(flag.error());
      failed = *flag;
      return {};
    });
    if (!visited) return visited;
    if (failed) message.content.insert(0, "Error: ");
    if (const auto called = tools_.find(*id); called != tools_.end()) message.name = called->second;
    message.tool_call_id = std::move(*id);
    body_.chat.messages.push_back(std::move(message));
    return {};
  }

  MessagesBody& body_;
  std::map<std::string, std::string, std::less<>> tools_;  // names of those called, by the call's id
};

}  // namespace

Result<void> read_system(const JsonValue& value, MessagesBody& body) {
  return read_texts(value, body.system, body);
}

Result<void> read_messages(const JsonValue& value, MessagesBody& body) {
  body.has_messages = true;
  body.chat.messages.clear();
  if (!value.is_array() || value.item_count() == 0)
    return fail(value.wrong("a list of at least one message"));
  Conversation conversation(body);
  return value.for_each_item([&](const JsonValue& message) { return conversation.read(message); });
}

}  // namespace autoglm::protocol::anthropic
