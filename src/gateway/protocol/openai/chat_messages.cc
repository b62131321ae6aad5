#include "gateway/protocol/openai/chat_messages.h"

#include "base/json_string.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <initializer_list>
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
    has_text |= key == "text";
    return item.read_string(key == "type" ? type : text);
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

Result<void> read_content(const JsonValue& value, std::string& content) {
  content.clear();
  if (value.is_null()) return {};  // an assistant's turn that was only a tool call
  if (value.is_string()) return value.read_string(content);
  if (!value.is_array()) return fail(value.wrong("a string or a list of text parts"));
  return value.for_each_item([&](const JsonValue& part) -> Result<void> {
    auto text = read_part(part);
    if (!text) return fail(text.error());
    content += *text;
    return {};
  });
}

/// The {name, …} of a function in `value`: each member goes to the text of its name.
Result<void> read_strings(const JsonValue& value,
                          std::initializer_list<std::pair<std::string_view, std::string*>> texts) {
  return value.for_each_member([&](std::string_view key, const JsonValue& item) -> Result<void> {
    for (const auto& [name, target] : texts) {
      if (key == name && !item.is_null()) return item.read_string(*target);
    }
    return {};
  });
}

Error missing(const std::string& path) {
  return invalid_field(path, path + " is missing", "missing_required_parameter");
}

Result<void> read_tool_calls(const JsonValue& value, std::vector<ToolCall>& calls) {
  return value.for_each_item([&](const JsonValue& item) -> Result<void> {
    ToolCall call;
    auto visited = item.for_each_member([&](std::string_view key, const JsonValue& member) -> Result<void> {
      if (key == "id") return member.read_string(call.id);
      if (key != "function") return {};
      return read_strings(member, {{"name", &call.name}, {"arguments", &call.arguments}});
    });
    if (!visited) return visited;
    if (call.name.empty()) return fail(missing(item.path() + ".function.name"));
    calls.push_back(std::move(call));
    return {};
  });
}

Result<void> read_message(const JsonValue& value, ChatMessage& message) {
  bool has_content = false;
  auto visited = value.for_each_member([&](std::string_view key, const JsonValue& item) -> Result<void> {
    if (key == "role") {
      if (!item.read_string(message.role) || std::ranges::find(kRoles, message.role) == kRoles.end())
        return fail(item.wrong("one of system, developer, user, assistant, tool"));
      if (message.role == "developer") message.role = "system";  // OpenAI's newer word for it
      return {};
    }
    if (key == "content") {
      has_content = true;
      return read_content(item, message.content);
    }
    if (item.is_null()) return {};
    if (key == "name") return item.read_string(message.name);
    if (key == "reasoning_content") return item.read_string(message.reasoning);
    if (key == "tool_call_id") return item.read_string(message.tool_call_id);
    if (key == "tool_calls") return read_tool_calls(item, message.tool_calls);
    return {};
  });
  if (!visited) return visited;
  for (const auto& [missing, field] :
       {std::pair(message.role.empty(), "role"), std::pair(!has_content, "content")}) {
    if (missing && !(message.role == "assistant" && field == std::string_view("content"))) {
      return fail(invalid_field(fmt::format("{}.{}", value.path(), field),
                                fmt::format("{}.{} is missing", value.path(), field),
                                "missing_required_parameter"));
    }
  }
  return {};
}

void append_member(std::string& out, std::string_view name, const std::string& text) {
  if (text.empty()) return;
  out.append(",\"").append(name).append("\":");
  append_json_string(out, text);
}

}  // namespace

Result<ChatPrompt> read_messages(const JsonValue& value) {
  ChatPrompt prompt;
  prompt.messages.reserve(value.item_count());
  auto visited = value.for_each_item([&](const JsonValue& item) -> Result<void> {
    return read_message(item, prompt.messages.emplace_back());
  });
  if (!visited) return fail(visited.error());
  if (prompt.messages.empty()) {
    return fail(invalid_field(value.path(), value.path() + " must hold at least one message"));
  }
  return prompt;
}

void append_messages(std::string& out, const ChatPrompt& prompt) {
  for (char before = '['; const ChatMessage& message : prompt.messages) {
    out.append(1, std::exchange(before, ',')).append(R"({"role":)");
    append_json_string(out, message.role);
    out += R"(,"content":)";
    append_json_string(out, message.content);
    append_member(out, "name", message.name);
    append_member(out, "reasoning_content", message.reasoning);
    append_member(out, "tool_call_id", message.tool_call_id);
    for (std::string_view opening = R"(,"tool_calls":[)"; const ToolCall& call : message.tool_calls) {
      out.append(std::exchange(opening, ",")).append(R"({"type":"function","id":)");
      append_json_string(out, call.id);
      out += R"(,"function":{"name":)";
      append_json_string(out, call.name);
      out += R"(,"arguments":)";
      append_json_string(out, call.arguments);
      out += "}}";
    }
    out += message.tool_calls.empty() ? "}" : "]}";
  }
  out += ']';
}

Result<void> read_tools(const JsonValue& value, std::vector<Tool>& tools) {
  return value.for_each_item([&](const JsonValue& item) -> Result<void> {
    Tool tool{.parameters = R"({"type":"object","properties":{}})"};
    std::string type = "function";
    auto visited = item.for_each_member([&](std::string_view key, const JsonValue& member) -> Result<void> {
      if (key == "type") return member.read_string(type);
      if (key != "function") return {};
      if (auto read = read_strings(member, {{"name", &tool.name}, {"description", &tool.description}}); !read)
        return read;
      return member.for_each_member([&](std::string_view name, const JsonValue& part) -> Result<void> {
        if (name != "parameters" || part.is_null()) return {};
        if (!part.is_object()) return fail(part.wrong("a JSON schema, an object"));
        tool.parameters = part.as_json();
        return {};
      });
    });
    if (!visited) return visited;
    if (type != "function")
      return fail(invalid_field(item.path() + ".type", item.path() + ".type must be \"function\""));
    if (tool.name.empty()) return fail(missing(item.path() + ".function.name"));
    tools.push_back(std::move(tool));
    return {};
  });
}

Result<ToolChoice> read_tool_choice(const JsonValue& value) {
  ToolChoice choice;
  if (value.is_string()) {
    const std::string word = *value.as_string();
    if (word == "auto") return choice;
    if (word == "none") return ToolChoice{.use = ToolUse::kNone, .name = {}};
    if (word == "required") return ToolChoice{.use = ToolUse::kRequired, .name = {}};
  } else if (value.is_object()) {
    choice.use = ToolUse::kRequired;
    auto visited = value.for_each_member([&](std::string_view key, const JsonValue& item) -> Result<void> {
      return key == "function" ? read_strings(item, {{"name", &choice.name}}) : Result<void>();
    });
    if (!visited) return fail(visited.error());
    if (!choice.name.empty()) return choice;
  }
  return fail(
      value.wrong(R"(one of "none", "auto", "required" or {"type": "function", "function": {"name": "…"}})"));
}

}  // namespace autoglm::protocol::openai
