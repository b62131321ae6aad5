#pragma once

#include "gateway/protocol/client_codec.h"
#include "gateway/protocol/openai/client_body.h"

namespace autoglm::protocol::openai {

/// Servers with OpenAI's API: vLLM, SGLang, llama-server, clouds, other instances of this program.
class OpenAiClient : public protocol::ClientCodec {
 public:
  std::string_view name() const override { return "OpenAI's protocol"; }
  LoadMetrics load_metrics() const override {
    return {.running = "vllm:num_requests_running", .waiting = "vllm:num_requests_waiting"};
  }
  bool has_kinds() const override { return true; }
  bool passes(WireBody::Protocol protocol) const override { return protocol != WireBody::Protocol::kNone; }
  EndpointPath passing_path(const InferenceRequest& request, const EndpointTerms& terms) const override;
  Result<EndpointRequest> write(const InferenceRequest& request, const EndpointTerms& terms) const override;
  std::unique_ptr<AnswerReader> reader(const InferenceRequest& request,
                                       const EndpointTerms& terms) const override;
  Continuation continuation(const InferenceRequest& request, const EndpointTerms& terms) const override;

 protected:
  virtual BodyForm form() const { return {}; }
  /// Where a call such as "/chat/completions" goes.
  virtual EndpointPath place_of(std::string_view call, const InferenceRequest& request,
                                const EndpointTerms& terms) const;
};

}  // namespace autoglm::protocol::openai
