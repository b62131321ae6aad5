#pragma once

#include "base/clock.h"
#include "base/result.h"
#include "cluster/health/checks.h"
#include "cluster/membership/endpoint_spec.h"
#include "gateway/endpoint/http_endpoint.h"
#include "inference/endpoint.h"

#include <memory>

namespace autoglm::gateway {

/// An endpoint that can be a pool's member: it is asked, and it is checked. Both may be one object.
struct MemberEndpoint {
  std::shared_ptr<Endpoint> endpoint;
  std::shared_ptr<cluster::Checks> checks;
};

/// Makes the endpoints of one pool from their specs. Control loop only; what it makes is thread-safe.
class EndpointFactory {
 public:
  virtual ~EndpointFactory() = default;

  /// `kind` is what is known of the servers at this address, shared with the endpoints before this one.
  /// Errors: what is wrong with the spec, such as a certificate that cannot be read.
  virtual Result<MemberEndpoint> make(const cluster::EndpointSpec& spec,
                                      std::shared_ptr<std::atomic<ServerKind>> kind) = 0;
};

/// The settings that a pool's servers have in common.
struct HttpEndpointSettings {
  Duration connect_timeout = std::chrono::seconds(2);
  Duration reuse_time = std::chrono::minutes(1);
  bool continue_text = true;
};

/// Makes HttpEndpoints: servers across the network.
class HttpEndpointFactory final : public EndpointFactory {
 public:
  /// `clients` must outlive what this makes.
  HttpEndpointFactory(HttpEndpointSettings settings, HttpClients& clients)
      : settings_(settings), clients_(clients) {}
  Result<MemberEndpoint> make(const cluster::EndpointSpec& spec,
                              std::shared_ptr<std::atomic<ServerKind>> kind) override;

 private:
  HttpEndpointSettings settings_;
  HttpClients& clients_;
};

/// The client's side of what a server speaks.
std::shared_ptr<const protocol::ClientCodec> client_codec(cluster::EndpointProtocol spoken);

/// Whether endpoints of these specs are the same server, asked in the same way: they differ at most in their
/// part in the pool.
bool asks_alike(const cluster::EndpointSpec& one, const cluster::EndpointSpec& other);

/// What `tls` says, for connections to the endpoint. Errors: a file that cannot be read.
Result<std::shared_ptr<const TlsClientContext>> context_of(const cluster::EndpointTls& tls);

}  // namespace autoglm::gateway
