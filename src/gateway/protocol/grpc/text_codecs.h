#pragma once

#include "gateway/protocol/codec.h"

namespace autoglm::protocol::grpc {

/// openautoglm.v1.Inference/Generate: a GenerateRequest in, GenerateResponses with their prefixes out.
class GenerateCodec final : public Codec {
 public:
  Result<DecodedCall> decode(std::string_view message) const override;
  Result<DecodedCall> outline(std::string_view message) const override { return decode(message); }
  std::string error_body(const Error& /*error*/) const override { return {}; }  // the status says it
};

/// openautoglm.v1.Inference/Chat: a ChatRequest in, ChatResponses with their prefixes out.
class ChatCodec final : public Codec {
 public:
  Result<DecodedCall> decode(std::string_view message) const override;
  Result<DecodedCall> outline(std::string_view message) const override { return decode(message); }
  std::string error_body(const Error& /*error*/) const override { return {}; }
};

}  // namespace autoglm::protocol::grpc
