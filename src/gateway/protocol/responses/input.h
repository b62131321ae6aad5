#pragma once

#include "gateway/protocol/responses/request.h"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace autoglm::protocol::responses {

/// The role of a message that stands for an item of an earlier response; its content is the item's id.
inline constexpr std::string_view kReference = "item_reference";

/// "input": a text, or items: messages, calls of functions and their outputs, reasoning. What the assistant
/// did in a row becomes one message. Items of other kinds are refused with their place.
Result<void> read_input(const JsonValue& value, ResponsesRequest& request);

/// A response's output items by their ids, each as a part of an assistant's message. `document` is one that
/// this room has written.
std::vector<std::pair<std::string, ChatMessage>> output_items(std::string_view document);

/// Adds `message` to a conversation: what the assistant did in a row is one message.
void add_message(std::vector<ChatMessage>& messages, ChatMessage message);

/// The items of "input" in `body`, which `read_request` has taken, as the API shows them: each with an id,
/// which ends in `_` and its number. Messages have lists of parts.
std::vector<std::string> input_items(std::string_view body, std::string_view response_id);

}  // namespace autoglm::protocol::responses
