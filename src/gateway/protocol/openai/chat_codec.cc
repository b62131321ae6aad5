#include "gateway/protocol/openai/chat_codec.h"

#include "gateway/protocol/openai/chat_messages.h"
#include "gateway/protocol/openai/generate_fields.h"
#include "gateway/protocol/openai/text_encoder.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

namespace autoglm::protocol::openai {

namespace {

/// A chat's body: what every generation has, and the conversation, which is complete only at its end.
struct ChatBody : GenerateBody {
  ChatPrompt chat;
  ToolChoice tool_choice;
};

Result<void> read_chat_messages(const JsonValue& value, ChatBody& body) {
  auto prompt = read_messages(value);
  if (!prompt) return fail(prompt.error());
  body.chat.messages = std::move(prompt->messages);
  body.has_prompt = true;
  return {};
}

Result<void> read_chat_tools(const JsonValue& value, ChatBody& body) {
  body.chat.tools.clear();
  return read_tools(value, body.chat.tools);
}

Result<void> read_choice(const JsonValue& value, ChatBody& body) {
  auto choice = read_tool_choice(value);
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

// A template that knows of ten is a rich one; 100,000 took the library 52 s.
constexpr std::size_t kMostTemplateArguments = 64;

Result<void> read_template_arguments(const JsonValue& value, ChatBody& body) {
  return value.for_each_member([&](std::string_view key, const JsonValue& item) -> Result<void> {
    body.chat.template_arguments[std::string(key)] = item.as_json();
    if (body.chat.template_arguments.size() <= kMostTemplateArguments) return {};
    return fail(invalid_field(
        value.path(), fmt::format("{} takes at most {} arguments", value.path(), kMostTemplateArguments)));
  });
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
    {"continue_final_message", read_chat_flag<&ChatPrompt::continue_final_message>},
    {"chat_template_kwargs", read_template_arguments},
    {"logprobs", read_common<read_logprobs_flag>},
    {"top_logprobs", read_common<read_top_logprobs>},
});

/// Chooses among the tools as `tool_choice` says.
Result<void> settle_tools(ChatBody& body) {
  auto& tools = body.chat.tools;
  const ToolChoice& choice = body.tool_choice;
  body.chat.tool_use = choice.use;
  if (choice.use == ToolUse::kRequired && tools.empty()) {
    return fail(invalid_field("tool_choice", "tool_choice asks for a tool, but there are no tools"));
  }
  if (choice.name.empty()) return {};
  std::erase_if(tools, [&choice](const Tool& tool) { return tool.name != choice.name; });
  if (!tools.empty()) return {};
  return fail(invalid_field(
      "tool_choice", fmt::format("tool_choice names \"{}\", which is none of the tools", choice.name)));
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
  if (auto settled = settle_tools(body); !settled) return settled;
  return settle_fields(body);
}

}  // namespace

Result<DecodedCall> ChatCodec::decode(std::string_view bytes) const {
  ChatBody body;
  const auto unknown = read_fields(bytes, body, kChatFields, generate_fields(), unsupported_fields());
  if (!unknown) return fail(unknown.error());
  if (auto settled = settle(body); !settled) return fail(settled.error());
  body.work.prompts.front() = std::move(body.chat);
  return make_call(std::move(body), AnswerShape::kChat, *unknown);
}

}  // namespace autoglm::protocol::openai
