#pragma once

#include "base/clock.h"
#include "base/result.h"
#include "config/descriptor.h"
#include "http/url.h"

#include <array>
#include <cstdint>
#include <map>
#include <string>

namespace autoglm::cluster {

/// How an https address is trusted, and how it trusts us. Empty: the system's authorities, no certificate of
/// ours.
struct EndpointTls {
  std::string ca;           ///< PEM file
  std::string certificate;  ///< PEM file, ours; with `key`
  std::string key;
  std::string server_name;  ///< expected in the certificate; empty: the address's host
  bool verify = true;

  bool operator==(const EndpointTls&) const = default;
};

/// What a server speaks.
enum class EndpointProtocol : std::uint8_t {
  kOpenAi,
  kAnthropic,
  kOllama,
  kKserve,
  kTriton,
  kTei,
  kAzure,
  kGrpc,  ///< not yet: refused where it is configured
};
inline std::array<config::EnumName<EndpointProtocol>, 8> enum_names(EndpointProtocol) {
  return {{{"openai", EndpointProtocol::kOpenAi},
           {"anthropic", EndpointProtocol::kAnthropic},
           {"ollama", EndpointProtocol::kOllama},
           {"kserve", EndpointProtocol::kKserve},
           {"triton", EndpointProtocol::kTriton},
           {"tei", EndpointProtocol::kTei},
           {"azure", EndpointProtocol::kAzure},
           {"grpc", EndpointProtocol::kGrpc}}};
}

/// An endpoint of a model as its source describes it: where it is, and its part in the pool. One of
/// `models[].endpoints`, or of what a registry has pushed. A plain value.
struct EndpointSpec {
  std::string url;  ///< of its API, `/v1` included; tells endpoints of a model apart
  EndpointProtocol protocol = EndpointProtocol::kOpenAi;
  std::uint32_t weight = 1;
  bool backup = false;                ///< asked only when no other can be
  std::uint32_t max_connections = 0;  ///< requests at a time; 0: unlimited
  std::uint32_t max_fails = 0;        ///< nginx's; 0: no such limit
  Duration fail_timeout = std::chrono::seconds(10);
  std::string api_key;
  std::string model;  ///< its own name for the model; empty: the same
  std::map<std::string, std::string> headers;
  EndpointTls tls;

  bool operator==(const EndpointSpec&) const = default;
};

/// The address of its API, without slashes at the end. Errors: what is wrong with `url`.
Result<http::Url> api_url(const EndpointSpec& endpoint);

}  // namespace autoglm::cluster
