#pragma once

#include "cluster/registries/kubernetes/kubernetes_access.h"
#include "config/descriptor.h"

#include <string>

namespace autoglm::center {

/// `center.kubernetes`.
struct ConfigMapConfig {
  std::string space;  ///< a namespace; empty: the pod's
  std::string config_map;
  std::string key = "open-autoglm.yaml";
  cluster::KubernetesAccess access;

  bool operator==(const ConfigMapConfig&) const = default;
};

config::Descriptor<ConfigMapConfig> describe_config_map();

/// What it will ask, for people; no secret.
std::string asks(const ConfigMapConfig& config);

}  // namespace autoglm::center
