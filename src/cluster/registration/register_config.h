#pragma once

#include "cluster/registries/consul/consul_config.h"
#include "cluster/registries/etcd/etcd_config.h"
#include "cluster/registries/nacos/nacos_config.h"
#include "config/descriptor.h"
#include "runtime/socket.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace autoglm::cluster {

/// Which of the served models: `all`, or those.
struct ModelNames {
  std::vector<std::string> names;  ///< empty: all

  bool operator==(const ModelNames&) const = default;
};

/// One of `register`: a registry, and what it is told of us. Exactly one of the registries is set.
struct RegisterConfig {
  std::optional<ConsulRegistrarConfig> consul;
  std::optional<EtcdRegistrarConfig> etcd;
  std::optional<NacosRegistrarConfig> nacos;

  std::string service = "open-autoglm";
  std::string id;       ///< empty: from the service and the address
  std::string address;  ///< "host:port" or "host"; empty: found
  ModelNames models;
  std::vector<std::string> tags;
  std::map<std::string, std::string> metadata;
  std::uint32_t weight = 1;

  bool operator==(const RegisterConfig&) const = default;
};

config::Descriptor<RegisterConfig> describe_register();

/// Whether both write the same entry of the same registry in the same way, whatever stands in it.
bool is_same_entry(const RegisterConfig& a, RegisterConfig b);
/// Whether both may stand under one id of one registry, which a later write or removal of either changes.
bool may_share_id(const RegisterConfig& a, const RegisterConfig& b);
/// Whether they surely do.
bool shares_id(const RegisterConfig& a, const RegisterConfig& b);
/// Where the registry is: all its addresses, in order; at least one.
std::vector<HostPort> registry_addresses(const RegisterConfig& config);
/// The first of them.
HostPort registry_address(const RegisterConfig& config);
/// What it will ask, and as whom, for people; no secret.
std::string asks(const RegisterConfig& config);

/// `address` of the configuration in its parts; port 0: it says none. Nothing: it is no address.
std::optional<HostPort> read_own_address(const std::string& text);

}  // namespace autoglm::cluster
