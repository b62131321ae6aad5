#pragma once

#include "base/clock.h"
#include "cluster/membership/endpoint_spec.h"
#include "config/descriptor.h"

#include <string>
#include <vector>

namespace autoglm::cluster {

/// `discover[].etcd`.
struct EtcdConfig {
  std::vector<std::string> endpoints = {"http://127.0.0.1:2379"};
  std::string prefix;
  std::string username;
  std::string password;
  EndpointTls tls;

  bool operator==(const EtcdConfig&) const = default;
};

config::Descriptor<EtcdConfig> describe_etcd();

}  // namespace autoglm::cluster
