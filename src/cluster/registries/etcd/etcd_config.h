#pragma once

#include "base/clock.h"
#include "cluster/membership/endpoint_spec.h"
#include "config/descriptor.h"

#include <string>
#include <vector>

namespace autoglm::cluster {

/// How an etcd is reached.
struct EtcdConnection {
  std::vector<std::string> endpoints = {"http://127.0.0.1:2379"};
  std::string username;
  std::string password;
  EndpointTls tls;

  bool operator==(const EtcdConnection&) const = default;
};

/// `discover[].etcd`.
struct EtcdConfig {
  EtcdConnection connection;
  std::string prefix;

  bool operator==(const EtcdConfig&) const = default;
};

/// `register[].etcd`.
struct EtcdRegistrarConfig {
  EtcdConnection connection;
  std::string prefix;
  Duration ttl = std::chrono::seconds(15);

  bool operator==(const EtcdRegistrarConfig&) const = default;
};

config::Descriptor<EtcdConnection> describe_etcd_connection();
config::Descriptor<EtcdConfig> describe_etcd();
config::Descriptor<EtcdRegistrarConfig> describe_etcd_registrar();

/// What it will ask, for people; no secret.
std::string asks(const EtcdConfig& config);
std::string asks(const EtcdRegistrarConfig& config);

}  // namespace autoglm::cluster
