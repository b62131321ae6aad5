#include "gateway/protocol/anthropic/body.h"

#include "base/json_string.h"
#include "base/utf8.h"
#include "gateway/protocol/anthropic/conversation.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace autoglm::protocol::anthropic {

namespace {

constexpr std::size_t kMostStopSequences = 16;
constexpr std::int64_t kMostTokens = std::numeric_limits<std::int32_t>::max();

template <class T, class U>
Result<void> assign(Result<T> value, U& target) {
  if (!value) return fail(std::move(value).error());
  target = static_cast<U>(std::move(*value));
  return {};
}

Result<void> read_model(const JsonValue& value, MessagesBody& body) { return value.read_string(body.model); }

Result<void> read_stream(const JsonValue& value, MessagesBody& body) {
  return assign(value.as_bool(), body.stream);
}

Result<void> read_max_tokens(const JsonValue& value, MessagesBody& body) {
  return assign(value.as_integer(1, kMostTokens), body.max_tokens.emplace());
}

template <std::optional<double> SamplingNumbers::* kMember>
Result<void> read_fraction(const JsonValue& value, MessagesBody& body) {
  return assign(value.as_number(0, 1), body.work.sampling.*kMember);
}

Result<void> read_top_k(const JsonValue& value, MessagesBody& body) {
  return assign(value.as_integer(0, kMostTokens), body.work.sampling.top_k.emplace());
}

Result<void> read_stop_sequences(const JsonValue& value, MessagesBody& body) {
  if (!value.is_array()) return fail(value.wrong("a list of strings"));
  auto stop = value.as_strings(kMostStopSequences);
  if (!stop) return fail(stop.error());
  if (std::ranges::any_of(*stop, &std::string::empty)) {
    return fail(invalid_field(
        value.path(),
        fmt::format("{} must not contain an empty string, which every text has", value.path())));
  }
  body.work.stop.stop = std::move(*stop);
  return {};
}

/// A tool of the client. Those of other types are programs that Anthropic's servers or clients have.
Result<void> read_tool(const JsonValue& item, MessagesBody& body) {
  Tool tool;
  std::string type = "custom";
  auto visited = item.for_each_member([&](std::string_view key, const JsonValue& member) -> Result<void> {
    if (member.is_null()) return {};
    if (key == "type") return member.read_string(type);
    if (key == "name") return member.read_string(tool.name);
    if (key == "description") return member.read_string(tool.description);
    if (key != "input_schema") return {};
    if (!member.is_object()) return fail(member.wrong("a JSON schema, an object"));
    tool.parameters = member.as_json();
    return {};
  });
  if (!visited) return visited;
  if (type != "custom") {
    refuse(body, item.path() + ".type",
           fmt::format("{}.type is {}, which this server does not have: models here call only the tools "
                       "that a request describes by an input_schema",
                       item.path(), excerpt(type, 64)));
    return {};
  }
  if (tool.name.empty()) return fail(missing(item.path() + ".name"));
  if (tool.parameters.empty()) return fail(missing(item.path() + ".input_schema", R"({"type": "object"})"));
  body.chat.tools.push_back(std::move(tool));
  return {};
}

Result<void> read_tools(const JsonValue& value, MessagesBody& body) {
  body.chat.tools.clear();
  return value.for_each_item([&](const JsonValue& item) { return read_tool(item, body); });
}

Result<void> read_tool_choice(const JsonValue& value, MessagesBody& body) {
  ToolChoice& choice = body.tool_choice;
  choice = {};
  std::string type;
  auto visited = value.for_each_member([&](std::string_view key, const JsonValue& item) -> Result<void> {
    if (item.is_null()) return {};
    if (key == "type") return item.read_string(type);
    if (key == "name") return item.read_string(choice.name);
    if (key != "disable_parallel_tool_use") return {};
    const auto single = item.as_bool();
    if (!single) return fail(single.error());
    choice.parallel = !*single;
    return {};
  });
  if (!visited) return visited;
  if (type == "tool" && choice.name.empty()) return fail(missing(value.path() + ".name"));
  if (type != "tool") choice.name.clear();
  if (type == "none") choice.use = ToolUse::kNone;
  if (type == "any" || type == "tool") choice.use = ToolUse::kRequired;
  if (type == "auto" || type == "none" || choice.use == ToolUse::kRequired) return {};
  return fail(invalid_field(value.path() + ".type",
                            value.path() + R"(.type must be "auto", "any", "tool" or "none")"));
}

/// {"type": "enabled", "budget_tokens"}, {"type": "adaptive"} or {"type": "disabled"}: whether the model's
/// template lets it think, and for how many tokens; few templates know of that, but servers with this API do.
Result<void> read_thinking(const JsonValue& value, MessagesBody& body) {
  std::string type;
  std::optional<std::int64_t> tokens;
  auto visited = value.for_each_member([&](std::string_view key, const JsonValue& item) -> Result<void> {
    if (item.is_null()) return {};
    if (key == "type") return item.read_string(type);
    if (key == "budget_tokens") {
      return assign(item.as_integer(1, kMostTokens), tokens.emplace());
    }
    if (key != "display") return {};
    const auto display = item.as_string();
    if (!display || (*display != "summarized" && *display != "omitted"))
      return fail(item.wrong(R"("summarized" or "omitted")"));
    body.shows_thinking = *display == "summarized";
    return {};
  });
  if (!visited) return visited;
  if (type != "enabled" && type != "adaptive" && type != "disabled") {
    return fail(invalid_field(value.path() + ".type",
                              value.path() + R"(.type must be "enabled", "adaptive" or "disabled")"));
  }
  if (type == "enabled" && !tokens) return fail(missing(value.path() + ".budget_tokens", "2000"));
  body.chat.template_arguments["enable_thinking"] = type == "disabled" ? "false" : "true";
  if (type == "enabled") body.chat.template_arguments["thinking_budget"] = std::to_string(*tokens);
  return {};
}

/// {"type": "json_schema", "schema"}: what the answer's text must be.
Result<void> read_format(const JsonValue& value, MessagesBody& body) {
  std::string type;
  std::string schema;
  auto visited = value.for_each_member([&](std::string_view key, const JsonValue& item) -> Result<void> {
    if (item.is_null()) return {};
    if (key == "type") return item.read_string(type);
    if (key != "schema") return {};
    if (!item.is_object()) return fail(item.wrong("a JSON schema, an object"));
    schema = item.as_json();
    return {};
  });
  if (!visited) return visited;
  if (type != "json_schema")
    return fail(invalid_field(value.path() + ".type", value.path() + R"(.type must be "json_schema")"));
  if (schema.empty()) return fail(missing(value.path() + ".schema", R"({"type": "object"})"));
  body.work.format = {
      .kind = OutputFormat::Kind::kJsonSchema, .definition = std::move(schema), .field_name = value.path()};
  return {};
}

/// {"effort", "format"}. Templates that know of efforts use that name.
Result<void> read_output_config(const JsonValue& value, MessagesBody& body) {
  constexpr std::array<std::string_view, 5> kEfforts = {"low", "medium", "high", "xhigh", "max"};
  return value.for_each_member([&](std::string_view key, const JsonValue& item) -> Result<void> {
    if (item.is_null()) return {};
    if (key == "format") return read_format(item, body);
    if (key != "effort") return {};
    const auto effort = item.as_string();
    if (!effort || std::ranges::find(kEfforts, *effort) == kEfforts.end())
      return fail(item.wrong("one of low, medium, high, xhigh, max"));
    body.chat.template_arguments["reasoning_effort"] = json_string(*effort);
    return {};
  });
}

/// A note about the client's user, which changes nothing here.
Result<void> read_metadata(const JsonValue& value, MessagesBody& /*body*/) {
  return value.for_each_member([&](std::string_view key, const JsonValue& item) -> Result<void> {
    if (key != "user_id" || item.is_null()) return {};
    const auto user = item.as_string();
    return user ? Result<void>() : fail(user.error());
  });
}

Result<void> read_service_tier(const JsonValue& value, MessagesBody& /*body*/) {
  const auto tier = value.as_string();
  if (!tier || (*tier != "auto" && *tier != "standard_only"))
    return fail(value.wrong(R"("auto" or "standard_only")"));
  return {};
}

/// What only Anthropic's servers have.
Result<void> only_empty(const JsonValue& value, MessagesBody& body) {
  const bool empty = value.is_array() && value.item_count() == 0;
  if (!empty)
    refuse(body, value.path(), value.path() + " is not supported by this server: leave it out or send null");
  return {};
}

Result<void> ignore(const JsonValue& /*value*/, MessagesBody& /*body*/) { return {}; }

constexpr auto kFields = std::to_array<JsonField<MessagesBody>>({
    {"model", read_model},
    {"messages", read_messages},
    {"system", read_system},
    {"max_tokens", read_max_tokens},
    {"stream", read_stream},
    {"temperature", read_fraction<&SamplingNumbers::temperature>},
    {"top_p", read_fraction<&SamplingNumbers::top_p>},
    {"top_k", read_top_k},
    {"stop_sequences", read_stop_sequences},
    {"tools", read_tools},
    {"tool_choice", read_tool_choice},
    {"thinking", read_thinking},
    {"output_config", read_output_config},
    {"output_format", read_format},
    {"metadata", read_metadata},
    {"service_tier", read_service_tier},
    {"container", only_empty},
    {"context_management", only_empty},
    {"mcp_servers", only_empty},
    // Prefixes are always cached here; the others say where and how fast Anthropic's servers work.
    {"betas", ignore},
    {"cache_control", ignore},
    {"diagnostics", ignore},
    {"inference_geo", ignore},
    {"speed", ignore},
    {"user_profile_id", ignore},
    {"workspace_id", ignore},
});

/// Chooses among the tools as `tool_choice` says.
Result<void> settle_tools(MessagesBody& body) {
  const ToolChoice& choice = body.tool_choice;
  auto& tools = body.chat.tools;
  body.chat.tool_use = choice.use;
  body.chat.parallel_tool_calls = choice.parallel;
  if (body.work.refusal || choice.use != ToolUse::kRequired) return {};
  if (tools.empty())
    return fail(invalid_field("tool_choice", "tool_choice asks for a tool, but there are no tools"));
  if (choice.name.empty()) return {};
  std::erase_if(tools, [&](const Tool& tool) { return tool.name != choice.name; });
  if (!tools.empty()) return {};
  return fail(invalid_field(
      "tool_choice.name",
      fmt::format("tool_choice.name is \"{}\", which is none of the tools", excerpt(choice.name, 64))));
}

/// An assistant's message at the end is the beginning of the answer.
Result<void> settle_last_message(ChatPrompt& chat) {
  if (chat.messages.empty() || chat.messages.back().role != "assistant") return {};
  if (!chat.messages.back().tool_calls.empty()) {
    return fail(invalid_field(
        "messages", "messages end with a tool_use block: send its tool_result in a message of the user"));
  }
  chat.continue_final_message = true;
  chat.add_generation_prompt = false;
  return {};
}

}  // namespace

std::span<const JsonField<MessagesBody>> fields() { return kFields; }

Result<void> settle(MessagesBody& body) {
  if (!body.has_messages)
    return fail(missing("messages", R"({"messages": [{"role": "user", "content": "Hello"}]})"));
  ChatPrompt& chat = body.chat;
  if (auto settled = settle_tools(body); !settled) return settled;
  if (auto settled = settle_last_message(chat); !settled) return settled;
  if (!body.system.empty()) {
    chat.messages.insert(chat.messages.begin(), ChatMessage{.role = "system",
                                                            .content = std::move(body.system),
                                                            .name = {},
                                                            .reasoning = {},
                                                            .tool_calls = {},
                                                            .tool_call_id = {}});
  }
  body.work.stop.max_tokens = body.max_tokens;
  body.work.prompts.front() = std::move(chat);
  return {};
}

void refuse(MessagesBody& body, std::string field, std::string message) {
  if (!body.work.refusal)
    body.work.refusal = invalid_field(std::move(field), std::move(message), "unsupported_parameter");
}

Error missing(const std::string& field, const std::string& example) {
  return invalid_field(
      field,
      example.empty() ? field + " is missing" : fmt::format("{} is missing: send e.g. {}", field, example),
      "missing_required_parameter");
}

}  // namespace autoglm::protocol::anthropic
