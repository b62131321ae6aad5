#pragma once

#include "cluster/registries/kubernetes/kubernetes_access.h"
#include "config/descriptor.h"

#include <string>

namespace autoglm::cluster {

/// `discover[].kubernetes`.
struct KubernetesConfig {
  std::string space;  ///< a namespace; empty: the pod's
  std::string service;
  std::string port;  ///< a name or a number; empty: the only one
  KubernetesAccess access;

  bool operator==(const KubernetesConfig&) const = default;
};

config::Descriptor<KubernetesConfig> describe_kubernetes();

/// What it will ask, for people; no secret.
std::string asks(const KubernetesConfig& config);

}  // namespace autoglm::cluster
