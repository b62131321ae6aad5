#pragma once

#include "cluster/registries/consul/consul_config.h"
#include "config/descriptor.h"

#include <string>

namespace autoglm::center {

/// `center.consul`.
struct ConsulDocumentConfig {
  cluster::ConsulConnection connection;
  std::string datacenter;
  std::string key;
  Duration wait = std::chrono::seconds(30);

  bool operator==(const ConsulDocumentConfig&) const = default;
};

config::Descriptor<ConsulDocumentConfig> describe_consul_document();

/// What it will ask, for people; no secret.
std::string asks(const ConsulDocumentConfig& config);

}  // namespace autoglm::center
