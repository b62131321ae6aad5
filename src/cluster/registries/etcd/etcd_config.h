#pragma once

#include "cluster/membership/endpoint_spec.h"
#include "config/descriptor.h"

#include <string>
#include <vector>

namespace autoglm::cluster {

/// How etcd is asked: the keys that all of its uses share.
struct EtcdServers {
  std::vector<std::string> endpoints = {"http://127.0.0.1:2379"};
  std::string username;
  std::string password;
  EndpointTls tls;

  bool operator==(const EtcdServers&) const = default;
};

config::Descriptor<EtcdServers> describe_etcd_servers();

/// `discover[].etcd`.
struct EtcdConfig {
  EtcdServers servers;
  std::string prefix;

  bool operator==(const EtcdConfig&) const = default;
};

config::Descriptor<EtcdConfig> describe_etcd();

}  // namespace autoglm::cluster
