#pragma once

#include "cluster/registries/etcd/etcd_config.h"
#include "config/descriptor.h"

#include <string>

namespace autoglm::center {

/// `center.etcd`.
struct EtcdDocumentConfig {
  cluster::EtcdConnection connection;
  std::string key;

  bool operator==(const EtcdDocumentConfig&) const = default;
};

config::Descriptor<EtcdDocumentConfig> describe_etcd_document();

/// What it will ask, for people; no secret.
std::string asks(const EtcdDocumentConfig& config);

}  // namespace autoglm::center
