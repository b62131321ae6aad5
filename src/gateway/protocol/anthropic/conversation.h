#pragma once

#include "gateway/protocol/anthropic/body.h"

namespace autoglm::protocol::anthropic {

/// "system": a string, or a list of text blocks.
Result<void> read_system(const JsonValue& value, MessagesBody& body);

/// "messages": turns of the user and the assistant, each a string or a list of blocks. A turn's texts stand
/// in lines of their own; a tool_result becomes a message of the tool; turns of one role in a row are one
/// turn. Blocks that only other models can read, such as images, are refused with their place.
Result<void> read_messages(const JsonValue& value, MessagesBody& body);

}  // namespace autoglm::protocol::anthropic
