#include "gateway/protocol/responses/tool_fields.h"

#include "base/utf8.h"

#include <fmt/format.h>

#include <set>
#include <string>
#include <string_view>
#include <utility>

namespace autoglm::protocol::responses {

namespace {

Result<void> read_tool(const JsonValue& item, ResponsesRequest& request) {
  Tool tool;
  tool.parameters = R"({"type":"object","properties":{}})";
  std::string type;
  auto visited = item.for_each_member([&](std::string_view key, const JsonValue& member) -> Result<void> {
    if (member.is_null()) return {};
    if (key == "type") return member.read_string(type);
    if (key == "name") return member.read_string(tool.name);
    if (key == "description") return member.read_string(tool.description);
    if (key != "parameters") return {};
    if (!member.is_object()) return fail(member.wrong("a JSON schema, an object"));
    tool.parameters = member.as_json();
    return {};
  });
  if (!visited) return visited;
  if (type.empty()) return fail(missing(item.path() + ".type", "\"function\""));
  if (type != "function") {
    refuse(
        request, item.path() + ".type",
        fmt::format("{}.type is {}: this server has no tools of its own, and its models call functions only",
                    item.path(), excerpt(type, 64)));
    return {};
  }
  if (tool.name.empty()) return fail(missing(item.path() + ".name"));
  request.chat.tools.push_back(std::move(tool));
  return {};
}

constexpr std::string_view kChoices =
    R"(one of "none", "auto", "required", {"type": "function", "name": "…"} or {"type": "allowed_tools", …})";

/// {"mode": "auto" | "required", "tools": [{"type": "function", "name"}]}.
Result<void> read_allowed(const JsonValue& value, ResponsesRequest& request) {
  request.chat.tool_use = ToolUse::kAuto;
  auto visited = value.for_each_member([&](std::string_view key, const JsonValue& item) -> Result<void> {
    if (item.is_null()) return {};
    if (key == "mode") {
      const auto mode = item.as_string();
      if (!mode || (*mode != "auto" && *mode != "required"))
        return fail(item.wrong(R"("auto" or "required")"));
      if (*mode == "required") request.chat.tool_use = ToolUse::kRequired;
    }
    if (key != "tools") return {};
    return item.for_each_item([&](const JsonValue& tool) -> Result<void> {
      std::string& name = request.chosen_tools.emplace_back();
      auto read = tool.for_each_member([&](std::string_view part, const JsonValue& member) -> Result<void> {
        return part == "name" ? member.read_string(name) : Result<void>();
      });
      if (!read || !name.empty()) return read;
      return fail(missing(tool.path() + ".name"));
    });
  });
  if (visited && request.chosen_tools.empty()) return fail(missing(value.path() + ".tools"));
  return visited;
}

}  // namespace

Result<void> read_tools(const JsonValue& value, ResponsesRequest& request) {
  request.chat.tools.clear();
  request.echo.tools = value.as_json();
  return value.for_each_item([&](const JsonValue& item) { return read_tool(item, request); });
}

Result<void> read_tool_choice(const JsonValue& value, ResponsesRequest& request) {
  request.chosen_tools.clear();
  request.calls_once = false;
  request.echo.tool_choice = value.as_json();
  if (value.is_string()) {
    const std::string word = *value.as_string();
    if (word != "none" && word != "auto" && word != "required") return fail(value.wrong(kChoices));
    request.chat.tool_use = word == "none"   ? ToolUse::kNone
                            : word == "auto" ? ToolUse::kAuto
                                             : ToolUse::kRequired;
    return {};
  }
  if (!value.is_object()) return fail(value.wrong(kChoices));
  std::string type;
  std::string name;
  auto visited = value.for_each_member([&](std::string_view key, const JsonValue& item) -> Result<void> {
    if (key == "type") return item.read_string(type);
    return key == "name" && !item.is_null() ? item.read_string(name) : Result<void>();
  });
  if (!visited) return visited;
  if (type == "allowed_tools") return read_allowed(value, request);
  if (type.empty()) return fail(missing(value.path() + ".type", "\"function\""));
  request.chat.tool_use = ToolUse::kRequired;
  if (type != "function") {
    refuse(request, value.path() + ".type",
           fmt::format("{}.type is {}: models here call functions only", value.path(), excerpt(type, 64)));
    return {};
  }
  if (name.empty()) return fail(missing(value.path() + ".name"));
  request.chosen_tools.push_back(std::move(name));
  request.calls_once = true;
  return {};
}

Result<void> settle_tools(ResponsesRequest& request) {
  auto& tools = request.chat.tools;
  if (request.work.refusal) return {};  // tool_choice may ask for a tool that was left out
  if (request.chat.tool_use == ToolUse::kRequired && tools.empty())
    return fail(invalid_field("tool_choice", "tool_choice asks for a tool, but there are no tools"));
  if (request.chosen_tools.empty()) return {};
  if (request.calls_once) request.chat.parallel_tool_calls = false;
  std::set<std::string_view> known;
  for (const Tool& tool : tools) known.insert(tool.name);
  for (const std::string& name : request.chosen_tools) {
    if (known.contains(name)) continue;
    return fail(invalid_field(
        "tool_choice",
        fmt::format("tool_choice names \"{}\", which is none of the tools", excerpt(name, 64))));
  }
  const std::set<std::string_view> chosen(request.chosen_tools.begin(), request.chosen_tools.end());
  std::erase_if(tools, [&chosen](const Tool& tool) { return !chosen.contains(tool.name); });
  return {};
}

}  // namespace autoglm::protocol::responses
