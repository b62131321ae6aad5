#pragma once

#include "gateway/protocol/codec.h"

namespace autoglm::protocol::grpc {

/// openautoglm.v1.Inference/Embed: an EmbedRequest in, an EmbedResponse with its prefix out.
class EmbedCodec final : public Codec {
 public:
  Result<DecodedCall> decode(std::string_view message) const override;
  Result<DecodedCall> outline(std::string_view message) const override { return decode(message); }
  std::string error_body(const Error& /*error*/) const override { return {}; }
};

/// openautoglm.v1.Inference/Rerank: a RerankRequest in, a RerankResponse with its prefix out.
class RerankCodec final : public Codec {
 public:
  Result<DecodedCall> decode(std::string_view message) const override;
  Result<DecodedCall> outline(std::string_view message) const override { return decode(message); }
  std::string error_body(const Error& /*error*/) const override { return {}; }
};

}  // namespace autoglm::protocol::grpc
