#pragma once

#include "gateway/protocol/codec.h"
#include "gateway/protocol/ollama/error.h"

namespace autoglm::protocol::ollama {

/// POST /api/chat (ollama's api/types.go, ChatRequest and ChatResponse): streamed as JSON lines unless
/// `"stream": false`. Without messages it asks whether the model is there, as Ollama's clients do to load it.
class ChatCodec final : public Codec {
 public:
  Result<DecodedCall> decode(std::string_view body) const override;
  Result<DecodedCall> outline(std::string_view body) const override;
  std::string error_body(const Error& error) const override { return ollama::error_body(error); }
};

}  // namespace autoglm::protocol::ollama
