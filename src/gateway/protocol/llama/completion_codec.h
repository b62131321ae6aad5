#pragma once

#include "gateway/protocol/codec.h"
#include "gateway/protocol/llama/error.h"

namespace autoglm::protocol::llama {

/// POST /completion, llama-server's own (tools/server/README.md of llama.cpp): `n_predict`, `stop_type`,
/// `timings`, frames without `[DONE]`. Several prompts or `n_cmpl` answer with a list.
class CompletionCodec final : public Codec {
 public:
  Result<DecodedCall> decode(std::string_view body) const override;
  Result<DecodedCall> outline(std::string_view body) const override { return decode(body); }
  std::string error_body(const Error& error) const override { return llama::error_body(error); }
};

/// POST /infill, for editors: the text between `input_prefix` + `prompt` and `input_suffix`, answered as
/// /completion does. `input_extra`, other files, stands before the prefix.
class InfillCodec final : public Codec {
 public:
  Result<DecodedCall> decode(std::string_view body) const override;
  Result<DecodedCall> outline(std::string_view body) const override { return decode(body); }
  std::string error_body(const Error& error) const override { return llama::error_body(error); }
};

}  // namespace autoglm::protocol::llama
