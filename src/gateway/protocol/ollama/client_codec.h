#pragma once

#include "gateway/protocol/client_codec.h"

namespace autoglm::protocol::ollama {

/// Ollama's own API: chats, completions and embeddings.
class OllamaClient final : public ClientCodec {
 public:
  std::string_view name() const override { return "Ollama's protocol"; }
  std::string_view health_path() const override { return "/api/version"; }
  Result<EndpointRequest> write(const InferenceRequest& request, const EndpointTerms& terms) const override;
  std::unique_ptr<AnswerReader> reader(const InferenceRequest& request,
                                       const EndpointTerms& terms) const override;
};

}  // namespace autoglm::protocol::ollama
