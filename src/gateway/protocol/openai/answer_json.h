#pragma once

#include "gateway/protocol/codec.h"
#include "gateway/protocol/openai/text_encoder.h"

#include <optional>
#include <string>
#include <vector>

namespace autoglm::protocol::openai {

/// `{"id":"…","object":"…","created":…,"model":"…"`: what every document and every frame begins with.
std::string answer_head(const AnswerFacts& facts, AnswerShape shape, bool stream);

/// The value of "usage".
void append_usage(std::string& out, const Usage& usage);

/// `"finish_reason":…`, null until the choice ends, and vLLM's `"stop_reason"` if a stop string ended it.
void append_finish(std::string& out, const std::optional<FinishReason>& finish, std::string_view stop);

/// `"function":{…}`, with the name where the delta has one.
void append_tool_call(std::string& out, const ToolCallDelta& call);

/// `"token_ids":[…]`.
void append_token_ids(std::string& out, const std::vector<TokenId>& tokens);

}  // namespace autoglm::protocol::openai
