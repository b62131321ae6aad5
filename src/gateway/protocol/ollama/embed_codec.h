#pragma once

#include "gateway/protocol/codec.h"
#include "gateway/protocol/ollama/error.h"

namespace autoglm::protocol::ollama {

/// POST /api/embed: a vector of length 1 for each of several texts.
class EmbedCodec final : public Codec {
 public:
  Result<DecodedCall> decode(std::string_view body) const override;
  Result<DecodedCall> outline(std::string_view body) const override { return decode(body); }
  std::string error_body(const Error& error) const override { return ollama::error_body(error); }
};

/// POST /api/embeddings, the older one: a text, and its vector as the model has it.
class EmbeddingsCodec final : public Codec {
 public:
  Result<DecodedCall> decode(std::string_view body) const override;
  Result<DecodedCall> outline(std::string_view body) const override { return decode(body); }
  std::string error_body(const Error& error) const override { return ollama::error_body(error); }
};

}  // namespace autoglm::protocol::ollama
