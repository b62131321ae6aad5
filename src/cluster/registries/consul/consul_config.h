#pragma once

#include "base/clock.h"
#include "cluster/membership/endpoint_spec.h"
#include "config/descriptor.h"

#include <string>
#include <vector>

namespace autoglm::cluster {

/// How Consul is asked: the keys that all of its uses share.
struct ConsulServer {
  std::string address = "http://127.0.0.1:8500";
  std::string datacenter;
  std::string token;
  EndpointTls tls;

  bool operator==(const ConsulServer&) const = default;
};

config::Descriptor<ConsulServer> describe_consul_server();

/// `discover[].consul`.
struct ConsulConfig {
  ConsulServer server;
  std::string service;
  std::vector<std::string> tags;
  bool passing = true;
  Duration wait = std::chrono::seconds(30);

  bool operator==(const ConsulConfig&) const = default;
};

config::Descriptor<ConsulConfig> describe_consul();

}  // namespace autoglm::cluster
