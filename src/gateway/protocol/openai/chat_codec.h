#pragma once

#include "gateway/protocol/codec.h"
#include "gateway/protocol/openai/error.h"

namespace autoglm::protocol::openai {

/// POST /v1/chat/completions (platform.openai.com/docs/api-reference/chat, with vLLM's additions).
class ChatCodec final : public Codec {
 public:
  Result<DecodedCall> decode(std::string_view body) const override;
  Result<DecodedCall> outline(std::string_view body) const override;
  std::string error_body(const Error& error) const override { return openai::error_body(error); }
};

}  // namespace autoglm::protocol::openai
