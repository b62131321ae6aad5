#pragma once

#include "gateway/protocol/codec.h"
#include "gateway/protocol/openai/error.h"

namespace autoglm::protocol::vllm {

/// POST /generate, vLLM's demo API (vllm/entrypoints/api_server.py): a prompt and sampling
/// parameters in, `{"text": [prompt + output, …]}` out. Streamed: one such object a step, each with
/// the whole text so far, ended by NUL as its simple client expects, or by a newline with
/// `"stream_delimiter": "\n"`.
class GenerateCodec final : public Codec {
 public:
  Result<DecodedCall> decode(std::string_view body) const override;
  Result<DecodedCall> outline(std::string_view body) const override;
  std::string error_body(const Error& error) const override { return openai::error_body(error); }
};

}  // namespace autoglm::protocol::vllm
