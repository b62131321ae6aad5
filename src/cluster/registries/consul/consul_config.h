#pragma once

#include "base/clock.h"
#include "cluster/membership/endpoint_spec.h"
#include "config/descriptor.h"

#include <string>
#include <vector>

namespace autoglm::cluster {

/// `discover[].consul`.
struct ConsulConfig {
  std::string address = "http://127.0.0.1:8500";
  std::string service;
  std::vector<std::string> tags;
  std::string datacenter;
  std::string token;
  bool passing = true;
  Duration wait = std::chrono::seconds(30);
  EndpointTls tls;

  bool operator==(const ConsulConfig&) const = default;
};

config::Descriptor<ConsulConfig> describe_consul();

}  // namespace autoglm::cluster
