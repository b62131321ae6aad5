#pragma once

#include "center/consul/consul_document_config.h"
#include "center/etcd/etcd_document_config.h"
#include "center/file/file_document_config.h"
#include "center/kubernetes/config_map_config.h"
#include "center/nacos/nacos_document_config.h"
#include "config/descriptor.h"

#include <optional>
#include <string>

namespace autoglm::center {

/// `center:`: where the rest of the configuration is, and may change. Exactly one of the centers is set.
struct CenterConfig {
  std::optional<FileDocumentConfig> file;
  std::optional<ConsulDocumentConfig> consul;
  std::optional<EtcdDocumentConfig> etcd;
  std::optional<NacosDocumentConfig> nacos;
  std::optional<ConfigMapConfig> kubernetes;

  std::string copy;  ///< the file of the last good text; empty: a place in the cache
  Duration patience = std::chrono::seconds(10);

  bool operator==(const CenterConfig&) const = default;
};

config::Descriptor<CenterConfig> describe_center();

/// What it will ask, for people; no secret.
std::string asks(const CenterConfig& config);

}  // namespace autoglm::center
