#pragma once

#include "cluster/registries/etcd/etcd_config.h"
#include "config/descriptor.h"

#include <string>

namespace autoglm::center {

/// `center.etcd`.
struct EtcdDocumentConfig {
  cluster::EtcdServers servers;
  std::string key;

  bool operator==(const EtcdDocumentConfig&) const = default;
};

config::Descriptor<EtcdDocumentConfig> describe_etcd_document();

}  // namespace autoglm::center
