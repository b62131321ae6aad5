#pragma once

#include "cluster/registries/consul/consul_config.h"
#include "cluster/registries/registry_client.h"

namespace autoglm::cluster {

/// For a client that asks this Consul.
inline RegistryClient::Options consul_options(const ConsulConnection& connection) {
  RegistryClient::Options options{.addresses = {connection.address}, .tls = connection.tls};
  if (!connection.token.empty()) options.headers.emplace_back("X-Consul-Token", connection.token);
  return options;
}

}  // namespace autoglm::cluster
