#pragma once

#include "gateway/protocol/codec.h"

#include <inference/grpc_predict_v2.pb.h>

#include <string>

namespace autoglm::protocol::grpc {

/// inference.GRPCInferenceService's ModelInfer, and Triton's ModelStreamInfer where `streaming`: a
/// ModelInferRequest for a model that generates text. A request of ModelInfer has one answer; of
/// ModelStreamInfer one, or one for each batch, as the input `stream` says, and the last one has the
/// parameter triton_final_response.
class InferCodec final : public Codec {
 public:
  explicit InferCodec(bool streaming) : streaming_(streaming) {}
  Result<DecodedCall> decode(std::string_view message) const override;
  Result<DecodedCall> outline(std::string_view message) const override { return decode(message); }
  std::string error_body(const Error& /*error*/) const override { return {}; }

 private:
  bool streaming_;
};

/// `error` as an answer of ModelStreamInfer, with its prefix; the stream goes on.
std::string infer_failure(std::string_view request, const Error& error);

}  // namespace autoglm::protocol::grpc
