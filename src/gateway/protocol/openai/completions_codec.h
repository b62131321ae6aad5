#pragma once

#include "gateway/protocol/codec.h"

namespace autoglm::protocol::openai {

/// POST /v1/completions (platform.openai.com/docs/api-reference/completions, with vLLM's additions).
class CompletionsCodec final : public Codec {
 public:
  Result<DecodedCall> decode(std::string_view body) const override;
};

}  // namespace autoglm::protocol::openai
