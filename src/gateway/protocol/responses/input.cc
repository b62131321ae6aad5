#include "gateway/protocol/responses/input.h"

#include "base/json_string.h"
#include "base/utf8.h"
#include "gateway/protocol/json/edit.h"
#include "gateway/protocol/json/members.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <optional>
#include <utility>

namespace autoglm::protocol::responses {

namespace {

constexpr std::size_t kMostReferences = 256;  // each may be of another response, which is read for it

/// The member of that name, which must be a string; nothing: there is none.
Result<std::optional<std::string>> text_in(const JsonValue& object, std::string_view name) {
  std::optional<std::string> text;
  auto visited = object.for_each_member([&](std::string_view key, const JsonValue& item) -> Result<void> {
    if (key != name || item.is_null()) return {};
    return item.read_string(text.emplace());
  });
  if (!visited) return fail(visited.error());
  return text;
}

Result<std::string> required(const JsonValue& object, std::string_view name) {
  auto text = text_in(object, name);
  if (!text) return fail(text.error());
  if (!*text) return fail(missing(fmt::format("{}.{}", object.path(), name)));
  return std::move(**text);
}

void add_line(std::string& text, std::string_view more) {
  if (!text.empty() && !more.empty()) text += '\n';
  text += more;
}

/// A string, or parts of text under any of OpenAI's names for them.
Result<void> read_content(const JsonValue& value, std::string& content, ResponsesRequest& request) {
  content.clear();
  if (value.is_string()) return value.read_string(content);
  if (!value.is_array()) return fail(value.wrong("a string or a list of parts"));
  return value.for_each_item([&](const JsonValue& part) -> Result<void> {
    const auto type = required(part, "type");
    if (!type) return fail(type.error());
    const bool text =
        *type == "input_text" || *type == "output_text" || *type == "text" || *type == "reasoning_text";
    if (!text && *type != "refusal") {
      refuse(request, part.path(),
             fmt::format("{} is of type {}: this model reads text only; send an input_text", part.path(),
                         excerpt(*type, 64)));
      return {};
    }
    const auto line = required(part, text ? "text" : "refusal");
    if (!line) return fail(line.error());
    add_line(content, *line);
    return {};
  });
}

/// The content of the member of that name.
Result<std::string> content_in(const JsonValue& item, std::string_view name, ResponsesRequest& request) {
  std::string content;
  bool found = false;
  auto visited = item.for_each_member([&](std::string_view key, const JsonValue& member) -> Result<void> {
    if (key != name || member.is_null()) return {};
    found = true;
    return read_content(member, content, request);
  });
  if (!visited) return fail(visited.error());
  if (!found) return fail(missing(fmt::format("{}.{}", item.path(), name)));
  return content;
}

/// The assistant's message that is being put together.
ChatMessage& assistants_turn(std::vector<ChatMessage>& messages) {
  if (messages.empty() || messages.back().role != "assistant") messages.emplace_back().role = "assistant";
  return messages.back();
}

Result<void> read_message(const JsonValue& item, ResponsesRequest& request) {
  constexpr std::array<std::string_view, 4> kRoles = {"user", "assistant", "system", "developer"};
  auto role = required(item, "role");
  if (!role) return fail(role.error());
  if (std::ranges::find(kRoles, *role) == kRoles.end()) {
    return fail(invalid_field(item.path() + ".role",
                              item.path() + ".role must be one of user, assistant, system, developer"));
  }
  auto content = content_in(item, "content", request);
  if (!content) return fail(content.error());
  auto& messages = request.chat.messages;
  if (*role == "assistant") {
    add_line(assistants_turn(messages).content, *content);
    return {};
  }
  ChatMessage& message = messages.emplace_back();
  message.role = *role == "developer" ? "system" : std::move(*role);
  message.content = std::move(*content);
  return {};
}

Result<void> read_call(const JsonValue& item, ResponsesRequest& request) {
  ToolCall call;
  for (const auto& [name, target] : {std::pair("call_id", &call.id), std::pair("name", &call.name),
                                     std::pair("arguments", &call.arguments)}) {
    auto text = required(item, name);
    if (!text) return fail(text.error());
    *target = std::move(*text);
  }
  assistants_turn(request.chat.messages).tool_calls.push_back(std::move(call));
  return {};
}

Result<void> read_output(const JsonValue& item, ResponsesRequest& request) {
  auto id = required(item, "call_id");
  if (!id) return fail(id.error());
  auto content = content_in(item, "output", request);
  if (!content) return fail(content.error());
  ChatMessage& message = request.chat.messages.emplace_back();
  message.role = "tool";
  message.content = std::move(*content);
  message.tool_call_id = std::move(*id);
  return {};
}

/// What another server's model thought may be there encrypted only; then it is nothing to this one.
Result<void> read_thought(const JsonValue& item, ResponsesRequest& request) {
  std::string thought;
  auto visited = item.for_each_member([&](std::string_view key, const JsonValue& member) -> Result<void> {
    return key == "content" && !member.is_null() ? read_content(member, thought, request) : Result<void>();
  });
  if (visited && !thought.empty()) add_line(assistants_turn(request.chat.messages).reasoning, thought);
  return visited;
}

Result<void> read_reference(const JsonValue& item, ResponsesRequest& request) {
  auto id = required(item, "id");
  if (!id) return fail(id.error());
  if (++request.references > kMostReferences) {
    return fail(invalid_field(
        item.path(), fmt::format("{} is one of more than {} items of type item_reference: send the items "
                                 "themselves, or previous_response_id",
                                 item.path(), kMostReferences)));
  }
  ChatMessage& message = request.chat.messages.emplace_back();
  message.role = kReference;
  message.content = std::move(*id);
  return {};
}

Result<void> read_item(const JsonValue& item, ResponsesRequest& request) {
  const auto named = text_in(item, "type");
  if (!named) return fail(named.error());
  const std::string type = named->value_or("message");
  if (type == "message") return read_message(item, request);
  if (type == "function_call") return read_call(item, request);
  if (type == "function_call_output") return read_output(item, request);
  if (type == "reasoning") return read_thought(item, request);
  if (type == kReference) return read_reference(item, request);
  refuse(request, item.path(),
         fmt::format("{} is of type {}: models here know message, function_call, function_call_output and "
                     "reasoning items only",
                     item.path(), excerpt(type, 64)));
  return {};
}

/// A message's text as its one part.
std::string parts_of(std::string_view text, bool assistants) {
  std::string out = assistants ? R"([{"type":"output_text","text":)" : R"([{"type":"input_text","text":)";
  append_json_string(out, text);
  return out + (assistants ? R"(,"annotations":[]}])" : "}]");
}

/// `item` as the API shows it, with an id if it has none.
std::string shown_item(const JsonValue& item, const std::string& number) {
  std::string type = "message";
  std::string role;
  std::string id;
  std::optional<std::string> content;
  (void)item.for_each_member([&](std::string_view key, const JsonValue& member) -> Result<void> {
    if (key == "type" && member.is_string()) return member.read_string(type);
    if (key == "role" && member.is_string()) return member.read_string(role);
    if (key == "id" && member.is_string()) return member.read_string(id);
    if (key == "content" && member.is_string()) return member.read_string(content.emplace());
    return {};
  });
  if (id.empty()) {
    const std::string_view prefix = type == "function_call"          ? "fc_"
                                    : type == "function_call_output" ? "fco_"
                                    : type == "reasoning"            ? "rs_"
                                                                     : "msg_";
    id.append(prefix).append(number);
  }
  std::vector<JsonEdit> edits = {
      {"id", json_string(id)}, {"type", json_string(type)}, {"status", R"("completed")"}};
  if (content) edits.push_back({"content", parts_of(*content, role == "assistant")});
  return edit_members(item.as_json(), edits);
}

}  // namespace

Result<void> read_input(const JsonValue& value, ResponsesRequest& request) {
  request.has_input = true;
  request.chat.messages.clear();
  request.references = 0;
  if (value.is_string()) {
    ChatMessage& message = request.chat.messages.emplace_back();
    message.role = "user";
    return value.read_string(message.content);
  }
  if (!value.is_array() || value.item_count() == 0)
    return fail(value.wrong("a string or a list of at least one item"));
  return value.for_each_item([&](const JsonValue& item) { return read_item(item, request); });
}

std::vector<std::pair<std::string, ChatMessage>> output_items(std::string_view document) {
  std::vector<std::pair<std::string, ChatMessage>> items;
  (void)visit_json_object(document, [&](std::string_view key, const JsonValue& value) -> Result<void> {
    if (key != "output") return {};
    return value.for_each_item([&](const JsonValue& item) -> Result<void> {
      ResponsesRequest read;
      const auto id = required(item, "id");
      if (!id || !read_item(item, read) || read.chat.messages.empty()) return {};
      items.emplace_back(*id, std::move(read.chat.messages.front()));
      return {};
    });
  });
  return items;
}

void add_message(std::vector<ChatMessage>& messages, ChatMessage message) {
  if (message.role != "assistant" || messages.empty() || messages.back().role != "assistant") {
    messages.push_back(std::move(message));
    return;
  }
  ChatMessage& turn = messages.back();
  add_line(turn.content, message.content);
  add_line(turn.reasoning, message.reasoning);
  std::ranges::move(message.tool_calls, std::back_inserter(turn.tool_calls));
}

std::vector<std::string> input_items(std::string_view body, std::string_view response_id) {
  std::vector<std::string> items;
  const std::string_view number = response_id.substr(std::min(response_id.find('_') + 1, response_id.size()));
  const auto id_of = [&](std::size_t index) { return fmt::format("{}_in{}", number, index); };
  (void)visit_json_object(body, [&](std::string_view key, const JsonValue& value) -> Result<void> {
    if (key != "input" || value.is_null()) return {};
    items.clear();
    if (value.is_string()) {
      items.push_back(
          fmt::format(R"({{"id":{},"type":"message","role":"user","status":"completed","content":{}}})",
                      json_string("msg_" + id_of(0)), parts_of(*value.as_string(), false)));
      return {};
    }
    if (!value.is_array()) return {};
    return value.for_each_item([&](const JsonValue& item) -> Result<void> {
      items.push_back(shown_item(item, id_of(items.size())));
      return {};
    });
  });
  return items;
}

}  // namespace autoglm::protocol::responses
