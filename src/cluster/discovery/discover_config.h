#pragma once

#include "base/clock.h"
#include "cluster/membership/endpoint_spec.h"
#include "cluster/registries/consul/consul_config.h"
#include "cluster/registries/dns/dns_config.h"
#include "cluster/registries/etcd/etcd_config.h"
#include "cluster/registries/file/file_config.h"
#include "cluster/registries/kubernetes/kubernetes_config.h"
#include "cluster/registries/nacos/nacos_config.h"
#include "config/descriptor.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace autoglm::cluster {

/// One of `models[].discover`: a registry, which of its instances count, and what is asked of them. Exactly
/// one of the registries is set.
struct DiscoverConfig {
  std::optional<FileConfig> file;
  std::optional<DnsConfig> dns;
  std::optional<ConsulConfig> consul;
  std::optional<EtcdConfig> etcd;
  std::optional<KubernetesConfig> kubernetes;
  std::optional<NacosConfig> nacos;

  std::vector<std::string> tags;              ///< that an instance must have, all of them
  std::map<std::string, std::string> filter;  ///< metadata and what it must be; a `*` at the end: any rest
  std::map<std::string, std::string> map;     ///< an endpoint's key, and the metadata that says it
  std::string scheme = "http";
  std::string path = "/v1";
  EndpointSpec endpoint;  ///< what all have in common; no `url`
  std::uint32_t max_shrink_percent = 50;
  Duration hold = std::chrono::seconds(30);

  bool operator==(const DiscoverConfig&) const = default;
};

config::Descriptor<DiscoverConfig> describe_discover();

/// What its registry will be asked, for people; no secret.
std::string asks(const DiscoverConfig& config);

}  // namespace autoglm::cluster
