#pragma once

#include "gateway/protocol/json/fields.h"
#include "inference/request.h"

#include <cstdint>
#include <optional>
#include <span>
#include <string>

namespace autoglm::protocol::anthropic {

/// "tool_choice".
struct ToolChoice {
  ToolUse use = ToolUse::kAuto;
  std::string name;  ///< of the only tool that may be called; empty: any
  bool parallel = true;
};

/// What the bodies of messages and count_tokens share: filled by the table of fields.
struct MessagesBody {
  std::string model;
  GenerateRequest work;
  ChatPrompt chat;
  std::string system;
  ToolChoice tool_choice;
  std::optional<std::uint32_t> max_tokens;
  bool has_messages = false;
  bool stream = false;
  bool shows_thinking = true;
};

/// The fields of docs.anthropic.com/en/api/messages: read, refused or known to change nothing here.
std::span<const JsonField<MessagesBody>> fields();

/// Settles fields that depend on each other, once all are read, and moves the conversation into the work.
Result<void> settle(MessagesBody& body);

/// Notes why this program's engine cannot do what is asked; the first reason is kept.
void refuse(MessagesBody& body, std::string field, std::string message);

/// An error that says what is missing, and an example.
Error missing(const std::string& field, const std::string& example = {});

}  // namespace autoglm::protocol::anthropic
