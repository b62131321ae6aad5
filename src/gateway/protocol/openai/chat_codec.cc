#include "gateway/protocol/openai/chat_codec.h"

#include "gateway/protocol/openai/chat_messages.h"
#include "gateway/protocol/openai/format_fields.h"
#include "gateway/protocol/openai/generate_fields.h"
#include "gateway/protocol/openai/other_fields.h"
#include "gateway/protocol/openai/outline.h"
#include "gateway/protocol/openai/text_encoder.h"

#include "base/json_string.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>
#include <string_view>
#include <utility>

namespace autoglm::protocol::openai {

namespace {

/// A chat's body: the fields of every generation, and the conversation, which is complete only at the body's
/// end.
struct ChatBody : GenerateBody {
  ChatPrompt chat;
  ToolChoice tool_choice;
  std::string reasoning_effort;
  bool wants_new_turn = false;  ///< add_generation_prompt is there, and true
};

Result<void> read_chat_messages(const JsonValue& value, ChatBody& body) {
  auto prompt = read_messages(value, body.work.refusal);
  if (!prompt) return fail(prompt.error());
  body.chat.messages = std::move(prompt->messages);
  body.has_prompt = true;
  return {};
}

Result<void> read_chat_tools(const JsonValue& value, ChatBody& body) {
  body.chat.tools.clear();
  return read_tools(value, body.chat.tools, body.work.refusal);
}

Result<void> read_choice(const JsonValue& value, ChatBody& body) {
  auto choice = read_tool_choice(value, body.work.refusal);
  if (!choice) return fail(choice.error());
  body.tool_choice = std::move(*choice);
  return {};
}

template <bool ChatPrompt::* kMember>
Result<void> read_chat_flag(const JsonValue& value, ChatBody& body) {
  const auto flag = value.as_bool();
  if (!flag) return fail(flag.error());
  body.chat.*kMember = *flag;
  return {};
}

Result<void> read_generation_prompt(const JsonValue& value, ChatBody& body) {
  auto read = read_chat_flag<&ChatPrompt::add_generation_prompt>(value, body);
  body.wants_new_turn = read && body.chat.add_generation_prompt;
  return read;
}

constexpr std::array<std::string_view, 7> kEfforts = {"none", "minimal", "low", "medium",
                                                      "high", "xhigh",   "max"};

Result<void> read_reasoning_effort(const JsonValue& value, ChatBody& body) {
  if (!value.read_string(body.reasoning_effort) ||
      std::ranges::find(kEfforts, body.reasoning_effort) == kEfforts.end())
    return fail(value.wrong("one of none, minimal, low, medium, high, xhigh, max"));
  return {};
}

Result<void> read_chat_template_arguments(const JsonValue& value, ChatBody& body) {
  return read_template_arguments(value, body.chat);
}

template <Result<void> (*kRead)(const JsonValue&, GenerateBody&)>
Result<void> read_common(const JsonValue& value, ChatBody& body) {
  return kRead(value, body);
}

constexpr auto kChatFields = std::to_array<JsonField<ChatBody>>({
    {"messages", read_chat_messages},
    {"tools", read_chat_tools},
    {"tool_choice", read_choice},
    {"parallel_tool_calls", read_chat_flag<&ChatPrompt::parallel_tool_calls>},
    {"add_generation_prompt", read_generation_prompt},
    {"reasoning_effort", read_reasoning_effort},
    {"continue_final_message", read_chat_flag<&ChatPrompt::continue_final_message>},
    {"chat_template_kwargs", read_chat_template_arguments},
    {"logprobs", read_common<read_logprobs_flag>},
    {"top_logprobs", read_common<read_top_logprobs>},
});

/// Chooses among the tools as `tool_choice` says.
Result<void> settle_tools(ChatBody& body) {
  auto& tools = body.chat.tools;
  const ToolChoice& choice = body.tool_choice;
  body.chat.tool_use = choice.use;
  if (body.work.refusal) return {};  // tool_choice may ask for a tool that was left out
  if (choice.use == ToolUse::kRequired && tools.empty()) {
    return fail(invalid_field("tool_choice", "tool_choice asks for a tool, but there are no tools"));
  }
  if (choice.names.empty()) return {};
  if (choice.one_call) body.chat.parallel_tool_calls = false;
  std::set<std::string_view>
      known;  // a body may have as many tools, and as many names of them, as it has room for
  for (const Tool& tool : tools) known.insert(tool.name);
  for (const std::string& name : choice.names) {
    if (known.contains(name)) continue;
    return fail(invalid_field("tool_choice",
                              fmt::format("tool_choice names \"{}\", which is none of the tools", name)));
  }
  const std::set<std::string_view> chosen(choice.names.begin(), choice.names.end());
  std::erase_if(tools, [&chosen](const Tool& tool) { return !chosen.contains(tool.name); });
  return {};
}

Result<void> settle(ChatBody& body) {
  if (!body.has_prompt) {
    return fail(invalid_field(
        "messages",
        "messages is missing: send e.g. {\"messages\": [{\"role\": \"user\", \"content\": \"Hello\"}]}",
        "missing_required_parameter"));
  }
  if (body.chat.continue_final_message && body.chat.messages.back().role != "assistant") {
    return fail(invalid_field("continue_final_message",
                              "continue_final_message needs a last message of the assistant"));
  }
  if (body.chat.continue_final_message && body.wants_new_turn) {
    return fail(invalid_field(
        "add_generation_prompt",
        "add_generation_prompt begins a new turn, and continue_final_message goes on with the last "
        "one: leave one of them out"));
  }
  if (auto settled = settle_tools(body); !settled) return settled;
  // Templates that know of efforts use this name; an argument that the client gives the template itself wins.
  auto& arguments = body.chat.template_arguments;
  if (!body.reasoning_effort.empty())
    arguments.try_emplace("reasoning_effort", json_string(body.reasoning_effort));
  if (body.reasoning_effort == "none") arguments.try_emplace("enable_thinking", "false");
  return settle_fields(body, std::nullopt);
}

}  // namespace

Result<DecodedCall> ChatCodec::decode(std::string_view bytes) const {
  ChatBody body;
  const auto unknown = read_fields(bytes, body, kChatFields, generate_fields(), format_fields(),
                                   unsupported_fields(), ignored_fields());
  if (!unknown) return fail(unknown.error());
  if (auto settled = settle(body); !settled) return fail(settled.error());
  body.work.prompts.front() = std::move(body.chat);
  return make_call(std::move(body), AnswerShape::kChat, *unknown);
}

Result<DecodedCall> ChatCodec::outline(std::string_view body) const {
  return openai::outline(*this, WireBody::Protocol::kChat, body);
}

}  // namespace autoglm::protocol::openai
