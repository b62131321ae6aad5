#pragma once

#include "gateway/protocol/codec.h"
#include "gateway/protocol/kserve/error.h"

#include <string>
#include <utility>

namespace autoglm::protocol::kserve {

/// POST /v2/models/{model}/generate and …/generate_stream: Triton's generate extension, with the parameters
/// of its backend for vLLM. The path says which model, and whether the answer is streamed, as frames
/// without an end mark.
class GenerateCodec final : public Codec {
 public:
  GenerateCodec(std::string model, bool streams) : model_(std::move(model)), streams_(streams) {}

  Result<DecodedCall> decode(std::string_view body) const override;
  Result<DecodedCall> outline(std::string_view body) const override { return decode(body); }
  std::string error_body(const Error& error) const override { return kserve::error_body(error); }

 private:
  std::string model_;
  bool streams_;
};

}  // namespace autoglm::protocol::kserve
