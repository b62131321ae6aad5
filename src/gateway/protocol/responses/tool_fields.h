#pragma once

#include "gateway/protocol/responses/request.h"

namespace autoglm::protocol::responses {

/// "tools": functions, in the flat shape {"type": "function", "name", "parameters"}. Tools that OpenAI's
/// servers run are refused.
Result<void> read_tools(const JsonValue& value, ResponsesRequest& request);

/// "tool_choice": a word, a function by name, or some of the tools.
Result<void> read_tool_choice(const JsonValue& value, ResponsesRequest& request);

/// Chooses among the tools as `tool_choice` says, once both are read.
Result<void> settle_tools(ResponsesRequest& request);

}  // namespace autoglm::protocol::responses
