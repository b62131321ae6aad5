#pragma once

#include "gateway/protocol/json/value.h"
#include "inference/request.h"

#include <optional>
#include <string>
#include <vector>

namespace autoglm::protocol::openai {

/// The "messages" of a chat: a list of {role, content, …}; content is a string or a list of text parts. The
/// first part that only other models can read, such as an image, goes to `refusal` with its place.
Result<ChatPrompt> read_messages(const JsonValue& value, std::optional<Error>& refusal);

/// Writes the same list from what was read.
void append_messages(std::string& out, const ChatPrompt& prompt);

/// "tools": functions with JSON schemas. Tools of other kinds go to `refusal`.
Result<void> read_tools(const JsonValue& value, std::vector<Tool>& tools, std::optional<Error>& refusal);

/// Writes the same list from what was read.
void append_tools(std::string& out, const std::vector<Tool>& tools);

/// "chat_template_kwargs": an object.
Result<void> read_template_arguments(const JsonValue& value, ChatPrompt& chat);

/// "tool_choice": a word, one of the tools by name, or some of them.
struct ToolChoice {
  ToolUse use = ToolUse::kAuto;
  std::vector<std::string> names;  ///< empty: any
  bool one_call = false;           ///< a tool that is named is called once
};
Result<ToolChoice> read_tool_choice(const JsonValue& value, std::optional<Error>& refusal);

}  // namespace autoglm::protocol::openai
