#pragma once

#include "gateway/protocol/codec.h"
#include "gateway/protocol/ollama/error.h"

namespace autoglm::protocol::ollama {

/// POST /api/generate (ollama's api/types.go, GenerateRequest and GenerateResponse): a prompt, which the
/// model's template makes a turn of unless `raw`; `suffix` fills in the middle. An empty prompt asks whether
/// the model is there.
class GenerateCodec final : public Codec {
 public:
  Result<DecodedCall> decode(std::string_view body) const override;
  Result<DecodedCall> outline(std::string_view body) const override;
  std::string error_body(const Error& error) const override { return ollama::error_body(error); }
};

}  // namespace autoglm::protocol::ollama
