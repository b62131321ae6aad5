#pragma once

#include "gateway/protocol/codec.h"
#include "gateway/protocol/json/value.h"

namespace autoglm::protocol::openai {

/// POST /v1/chat/completions (platform.openai.com/docs/api-reference/chat, with vLLM's additions).
class ChatCodec final : public Codec {
 public:
  Result<DecodedCall> decode(std::string_view body) const override;
};

/// The "messages" of a chat: a list of {role, content}; content is a string or a list of text parts.
Result<ChatPrompt> read_messages(const JsonValue& value);

}  // namespace autoglm::protocol::openai
