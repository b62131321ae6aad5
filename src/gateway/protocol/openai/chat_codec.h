#pragma once

#include "gateway/protocol/codec.h"

namespace autoglm::protocol::openai {

/// POST /v1/chat/completions (platform.openai.com/docs/api-reference/chat, with vLLM's additions).
class ChatCodec final : public Codec {
 public:
  Result<DecodedCall> decode(std::string_view body) const override;
};

}  // namespace autoglm::protocol::openai
