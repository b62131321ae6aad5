#pragma once

#include "gateway/protocol/client_codec.h"

namespace autoglm::protocol::anthropic {

/// Servers with Anthropic's messages API.
class AnthropicClient final : public ClientCodec {
 public:
  std::string_view name() const override { return "Anthropic's protocol"; }
  std::vector<std::pair<std::string, std::string>> headers(std::string_view api_key) const override;
  std::string_view health_path() const override { return ""; }
  Result<EndpointRequest> write(const InferenceRequest& request, const EndpointTerms& terms) const override;
  std::unique_ptr<AnswerReader> reader(const InferenceRequest& request,
                                       const EndpointTerms& terms) const override;
  Error read_error(int status, std::string_view body,
                   std::optional<std::chrono::seconds> retry_after) const override;
};

}  // namespace autoglm::protocol::anthropic
