#include "gateway/protocol/openai/chat_messages.h"

#include "base/json_string.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <initializer_list>
#include <utility>

namespace autoglm::protocol::openai {

namespace {

// A template that knows of ten is a rich one; 100,000 took the library 52 s.
constexpr std::size_t kMostTemplateArguments = 64;
constexpr std::array<std::string_view, 6> kRoles = {"system",    "developer", "user",
                                                    "assistant", "tool",      "function"};

void refuse(std::optional<Error>& refusal, std::string field, std::string message) {
  if (!refusal) refusal = invalid_field(std::move(field), std::move(message), "unsupported_parameter");
}

/// The text of a part, if it is one of text: OpenAI has several names for these.
Result<std::optional<std::string>> read_part(const JsonValue& part) {
  std::string type;
  std::string text;
  std::string refused;
  bool has_text = false;
  auto visited = part.for_each_member([&](std::string_view key, const JsonValue& item) -> Result<void> {
    if (key == "type") return item.read_string(type);
    if (key == "refusal") return item.read_string(refused);
    if (key != "text") return {};
    has_text = true;
    return item.read_string(text);
  });
  if (!visited) return fail(visited.error());
  if (type == "refusal") return refused;
  if (type != "text" && type != "input_text" && type != "output_text") return std::nullopt;
  if (has_text) return text;
  return fail(invalid_field(part.path() + ".text", fmt::format("{}.text is missing", part.path()),
                            "missing_required_parameter"));
}

/// Parts of text stand in lines of their own, as vLLM and llama-server have it.
Result<void> read_content(const JsonValue& value, std::string& content, std::optional<Error>& refusal) {
  content.clear();
  if (value.is_null()) return {};  // an assistant's turn with nothing but a tool call
  if (value.is_string()) return value.read_string(content);
  if (!value.is_array()) return fail(value.wrong("a string or a list of text parts"));
  bool first = true;
  return value.for_each_item([&](const JsonValue& part) -> Result<void> {
    auto text = read_part(part);
    if (!text) return fail(text.error());
    if (!*text) {
      refuse(refusal, part.path(),
             fmt::format("{} must be {{\"type\": \"text\", \"text\": …}}: this model reads text only",
                         part.path()));
      return {};
    }
    if (!std::exchange(first, false)) content += '\n';
    content += **text;
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

/// {"name", "arguments"}, the latter as text or as JSON.
Result<void> read_function_call(const JsonValue& value, ToolCall& call) {
  return value.for_each_member([&](std::string_view key, const JsonValue& item) -> Result<void> {
    if (item.is_null()) return {};
    if (key == "name") return item.read_string(call.name);
    if (key != "arguments") return {};
    if (!item.is_object()) return item.read_string(call.arguments);
    call.arguments = item.as_json();
    return {};
  });
}

Result<void> read_tool_calls(const JsonValue& value, std::vector<ToolCall>& calls,
                             std::optional<Error>& refusal) {
  return value.for_each_item([&](const JsonValue& item) -> Result<void> {
    ToolCall call;
    std::string type = "function";
    auto visited = item.for_each_member([&](std::string_view key, const JsonValue& member) -> Result<void> {
      if (member.is_null()) return {};
      if (key == "id") return member.read_string(call.id);
      if (key == "type") return member.read_string(type);
      return key == "function" ? read_function_call(member, call) : Result<void>();
    });
    if (!visited) return visited;
    if (type != "function") {
      refuse(refusal, item.path() + ".type", item.path() + ".type must be \"function\"");
      return {};
    }
    if (call.name.empty()) return fail(missing(item.path() + ".function.name"));
    calls.push_back(std::move(call));
    return {};
  });
}

Result<void> read_role(const JsonValue& value, ChatMessage& message) {
  if (!value.read_string(message.role) || std::ranges::find(kRoles, message.role) == kRoles.end())
    return fail(value.wrong("one of system, developer, user, assistant, tool, function"));
  if (message.role == "developer") message.role = "system";  // OpenAI's newer word for it
  if (message.role == "function") message.role = "tool";     // and its older one
  return {};
}

Result<void> read_message(const JsonValue& value, ChatMessage& message, std::optional<Error>& refusal) {
  bool has_content = false;
  std::string refused;
  auto visited = value.for_each_member([&](std::string_view key, const JsonValue& item) -> Result<void> {
    if (key == "role") return read_role(item, message);
    if (key == "content") {
      has_content = true;
      return read_content(item, message.content, refusal);
    }
    if (item.is_null()) return {};
    if (key == "name") return item.read_string(message.name);
    if (key == "refusal") return item.read_string(refused);
    if (key == "reasoning_content" || key == "reasoning") return item.read_string(message.reasoning);
    if (key == "tool_call_id") return item.read_string(message.tool_call_id);
    if (key == "tool_calls") return read_tool_calls(item, message.tool_calls, refusal);
    if (key == "function_call") {
      ToolCall& call = message.tool_calls.emplace_back();
      if (auto read = read_function_call(item, call); !read || !call.name.empty()) return read;
      return fail(missing(item.path() + ".name"));
    }
    if (key == "audio") refuse(refusal, item.path(), item.path() + " is audio: this model reads text only");
    return {};
  });
  if (!visited) return visited;
  if (message.content.empty()) message.content = std::move(refused);
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

Result<ChatPrompt> read_messages(const JsonValue& value, std::optional<Error>& refusal) {
  ChatPrompt prompt;
  prompt.messages.reserve(value.item_count());
  auto visited = value.for_each_item([&](const JsonValue& item) -> Result<void> {
    return read_message(item, prompt.messages.emplace_back(), refusal);
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

Result<void> read_tools(const JsonValue& value, std::vector<Tool>& tools, std::optional<Error>& refusal) {
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
    if (type != "function") {
      refuse(refusal, item.path() + ".type",
             fmt::format("{}.type must be \"function\": models here call no others", item.path()));
      return {};
    }
    if (tool.name.empty()) return fail(missing(item.path() + ".function.name"));
    tools.push_back(std::move(tool));
    return {};
  });
}

void append_tools(std::string& out, const std::vector<Tool>& tools) {
  for (char before = '['; const Tool& tool : tools) {
    out.append(1, std::exchange(before, ',')).append(R"({"type":"function","function":{"name":)");
    append_json_string(out, tool.name);
    append_member(out, "description", tool.description);
    out.append(R"(,"parameters":)").append(tool.parameters).append("}}");
  }
  out += tools.empty() ? "[]" : "]";
}

Result<void> read_template_arguments(const JsonValue& value, ChatPrompt& chat) {
  return value.for_each_member([&](std::string_view key, const JsonValue& item) -> Result<void> {
    chat.template_arguments[std::string(key)] = item.as_json();
    if (chat.template_arguments.size() <= kMostTemplateArguments) return {};
    return fail(invalid_field(
        value.path(), fmt::format("{} takes at most {} arguments", value.path(), kMostTemplateArguments)));
  });
}

namespace {

/// {"mode": "auto", "tools": [{"type": "function", "function": {"name": "…"}}]}
Result<void> read_allowed_tools(const JsonValue& value, ToolChoice& choice) {
  choice.use = ToolUse::kAuto;
  return value.for_each_member([&](std::string_view key, const JsonValue& item) -> Result<void> {
    if (key == "mode") {
      const auto mode = item.as_string();
      if (!mode || (*mode != "auto" && *mode != "required"))
        return fail(item.wrong(R"("auto" or "required")"));
      if (*mode == "required") choice.use = ToolUse::kRequired;
      return {};
    }
    if (key != "tools") return {};
    return item.for_each_item([&](const JsonValue& tool) -> Result<void> {
      std::string& name = choice.names.emplace_back();
      auto read = tool.for_each_member([&](std::string_view part, const JsonValue& member) -> Result<void> {
        return part == "function" ? read_strings(member, {{"name", &name}}) : Result<void>();
      });
      if (!read || !name.empty()) return read;
      return fail(missing(tool.path() + ".function.name"));
    });
  });
}

}  // namespace

Result<ToolChoice> read_tool_choice(const JsonValue& value, std::optional<Error>& refusal) {
  ToolChoice choice;
  if (value.is_string()) {
    const std::string word = *value.as_string();
    if (word == "auto") return choice;
    if (word == "none") return ToolChoice{.use = ToolUse::kNone};
    if (word == "required") return ToolChoice{.use = ToolUse::kRequired};
  } else if (value.is_object()) {
    choice.use = ToolUse::kRequired;
    std::string name;
    auto visited = value.for_each_member([&](std::string_view key, const JsonValue& item) -> Result<void> {
      if (key == "allowed_tools") return read_allowed_tools(item, choice);
      if (key == "custom")
        refuse(refusal, item.path(), item.path() + " is of a kind that models here do not call");
      return key == "function" ? read_strings(item, {{"name", &name}}) : Result<void>();
    });
    if (!visited) return fail(visited.error());
    choice.one_call = !name.empty();
    if (choice.one_call) choice.names.push_back(std::move(name));
    if (!choice.names.empty() || refusal) return choice;
  }
  return fail(
      value.wrong(R"(one of "none", "auto", "required" or {"type": "function", "function": {"name": "…"}})"));
}

}  // namespace autoglm::protocol::openai
