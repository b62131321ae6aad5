#include "gateway/endpoint/endpoint_factory.h"

#include "gateway/protocol/anthropic/client_codec.h"
#include "gateway/protocol/azure/client_codec.h"
#include "gateway/protocol/kserve/client_codec.h"
#include "gateway/protocol/ollama/client_codec.h"
#include "gateway/protocol/openai/client_codec.h"
#include "gateway/protocol/tei/client_codec.h"

#include <tuple>
#include <utility>

namespace autoglm::gateway {

Result<std::shared_ptr<const TlsClientContext>> context_of(const cluster::EndpointTls& tls) {
  return TlsClientContext::create(
      {.ca_file = tls.ca, .certificate_file = tls.certificate, .key_file = tls.key, .verify = tls.verify});
}

std::shared_ptr<const protocol::ClientCodec> client_codec(cluster::EndpointProtocol spoken) {
  using enum cluster::EndpointProtocol;
  switch (spoken) {
    case kAnthropic:
      return std::make_shared<const protocol::anthropic::AnthropicClient>();
    case kOllama:
      return std::make_shared<const protocol::ollama::OllamaClient>();
    case kKserve:
      return std::make_shared<const protocol::kserve::KserveClient>();
    case kTriton:
      return std::make_shared<const protocol::kserve::TritonClient>();
    case kTei:
      return std::make_shared<const protocol::tei::TeiClient>();
    case kAzure:
      return std::make_shared<const protocol::azure::AzureClient>();
    case kOpenAi:
    case kGrpc:
      break;
  }
  return std::make_shared<const protocol::openai::OpenAiClient>();
}

Result<MemberEndpoint> HttpEndpointFactory::make(const cluster::EndpointSpec& spec,
                                                 std::shared_ptr<std::atomic<ServerKind>> kind) {
  auto url = cluster::api_url(spec);
  if (!url) return fail(url.error());
  std::shared_ptr<const TlsClientContext> tls;
  if (spec.tls != cluster::EndpointTls()) {
    auto made = context_of(spec.tls);
    if (!made) return fail(made.error());
    tls = std::move(*made);
  }
  auto made = std::make_shared<HttpEndpoint>(
      HttpEndpointOptions{.url = std::move(*url),
                          .api_key = spec.api_key,
                          .model = spec.model,
                          .headers = {spec.headers.begin(), spec.headers.end()},
                          .tls = std::move(tls),
                          .tls_name = spec.tls.server_name,
                          .connect_timeout = settings_.connect_timeout,
                          .reuse_time = settings_.reuse_time,
                          .continue_text = settings_.continue_text,
                          .codec = client_codec(spec.protocol),
                          .kind = std::move(kind)},
      clients_);
  return MemberEndpoint{.endpoint = made, .checks = made};
}

bool asks_alike(const cluster::EndpointSpec& one, const cluster::EndpointSpec& other) {
  const auto asked = [](const cluster::EndpointSpec& spec) {
    return std::tie(spec.url, spec.protocol, spec.api_key, spec.model, spec.headers, spec.tls);
  };
  return asked(one) == asked(other);
}

}  // namespace autoglm::gateway
