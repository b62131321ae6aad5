#pragma once

#include "gateway/protocol/openai/client_codec.h"

namespace autoglm::protocol::azure {

/// Azure's OpenAI service: OpenAI's bodies and answers at the address of a deployment, with a version and a
/// key of its own.
class AzureClient final : public openai::OpenAiClient {
 public:
  std::string_view name() const override { return "Azure's protocol"; }
  std::vector<std::pair<std::string, std::string>> headers(std::string_view api_key) const override;
  std::string_view health_path() const override { return ""; }
  LoadMetrics load_metrics() const override { return {}; }
  bool has_kinds() const override { return false; }
  bool passes(WireBody::Protocol protocol) const override;

 protected:
  openai::BodyForm form() const override { return {.newer_limit = true}; }
  EndpointPath place_of(std::string_view call, const InferenceRequest& request,
                        const EndpointTerms& terms) const override;
};

}  // namespace autoglm::protocol::azure
