#pragma once

#include "gateway/protocol/json/value.h"
#include "inference/request.h"

#include <string>
#include <vector>

namespace autoglm::protocol::openai {

/// The "messages" of a chat: a list of {role, content, …}; content is a string or a list of text parts.
Result<ChatPrompt> read_messages(const JsonValue& value);

/// The same list, from what was read.
void append_messages(std::string& out, const ChatPrompt& prompt);

/// "tools": functions with JSON schemas.
Result<void> read_tools(const JsonValue& value, std::vector<Tool>& tools);

/// "tool_choice": a word, or one of the tools by name.
struct ToolChoice {
  ToolUse use = ToolUse::kAuto;
  std::string name;  ///< empty: any
};
Result<ToolChoice> read_tool_choice(const JsonValue& value);

}  // namespace autoglm::protocol::openai
