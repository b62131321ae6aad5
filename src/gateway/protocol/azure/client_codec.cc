#include "gateway/protocol/azure/client_codec.h"

#include "gateway/protocol/url_part.h"

#include <fmt/format.h>

namespace autoglm::protocol::azure {

namespace {
constexpr std::string_view kVersion = "2024-10-21";  // where the endpoint's address names none
}

std::vector<std::pair<std::string, std::string>> AzureClient::headers(std::string_view api_key) const {
  if (api_key.empty()) return {};
  return {{"api-key", std::string(api_key)}};
}

bool AzureClient::passes(WireBody::Protocol protocol) const {
  using Protocol = WireBody::Protocol;
  return protocol == Protocol::kChat || protocol == Protocol::kCompletions ||
         protocol == Protocol::kEmbeddings || protocol == Protocol::kPassed;
}

/// `Url::below` leaves out a parameter that the address itself has.
EndpointPath AzureClient::place_of(std::string_view call, const InferenceRequest& request,
                                   const EndpointTerms& terms) const {
  const std::string_view deployment = terms.model.empty() ? std::string_view(request.model) : terms.model;
  return {.path =
              fmt::format("/openai/deployments/{}{}?api-version={}", url_part(deployment), call, kVersion)};
}

}  // namespace autoglm::protocol::azure
