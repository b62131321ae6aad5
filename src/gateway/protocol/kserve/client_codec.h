#pragma once

#include "gateway/protocol/client_codec.h"

namespace autoglm::protocol::kserve {

/// KServe's generate extension of the Open Inference Protocol: a text in, texts out.
class KserveClient : public ClientCodec {
 public:
  std::string_view name() const override { return "KServe's protocol"; }
  std::string_view health_path() const override { return "/v2/health/ready"; }
  Result<EndpointRequest> write(const InferenceRequest& request, const EndpointTerms& terms) const override;
  std::unique_ptr<AnswerReader> reader(const InferenceRequest& request,
                                       const EndpointTerms& terms) const override;

 protected:
  /// Whether parameters have TensorRT-LLM's names.
  virtual bool of_tensorrt() const { return false; }
};

/// Triton's form of it, before TensorRT-LLM.
class TritonClient final : public KserveClient {
 public:
  std::string_view name() const override { return "Triton's protocol"; }

 protected:
  bool of_tensorrt() const override { return true; }
};

}  // namespace autoglm::protocol::kserve
