#pragma once

#include "cluster/registries/nacos/nacos_config.h"
#include "config/descriptor.h"

#include <string>

namespace autoglm::center {

/// `center.nacos`.
struct NacosDocumentConfig {
  cluster::NacosAccess access;
  std::string group = "DEFAULT_GROUP";
  std::string data_id = "open-autoglm.yaml";
  Duration interval = std::chrono::seconds(10);

  bool operator==(const NacosDocumentConfig&) const = default;
};

config::Descriptor<NacosDocumentConfig> describe_nacos_document();

/// What it will ask, for people; no secret.
std::string asks(const NacosDocumentConfig& config);

}  // namespace autoglm::center
