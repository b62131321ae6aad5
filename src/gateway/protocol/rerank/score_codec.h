#pragma once

#include "gateway/protocol/codec.h"
#include "gateway/protocol/openai/error.h"

namespace autoglm::protocol::rerank {

/// POST /score and /v1/score, vLLM's: {"text_1": a text or a list, "text_2": a text or a list}.
class ScoreCodec final : public Codec {
 public:
  Result<DecodedCall> decode(std::string_view body) const override;
  Result<DecodedCall> outline(std::string_view body) const override;
  std::string error_body(const Error& error) const override { return openai::error_body(error); }
};

}  // namespace autoglm::protocol::rerank
