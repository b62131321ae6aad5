#pragma once

#include "base/result.h"
#include "center/document.h"
#include "center/kubernetes/config_map_config.h"
#include "cluster/registries/kubernetes/kubernetes_client.h"
#include "cluster/registries/kubernetes/kubernetes_watch.h"

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace autoglm::center {

/// A key of a ConfigMap, by a watch. Its version is the map's resourceVersion.
class ConfigMapDocument final : public Document, private cluster::KubernetesSink {
 public:
  /// `client` and `files` outlive the document. Errors: no address or namespace, and this is no pod; a
  /// certificate that cannot be read.
  static Result<std::unique_ptr<Document>> create(const ConfigMapConfig& config,
                                                  const cluster::PodEnvironment& pod, http::Client& client,
                                                  BlockingPool& files);

  Task<void> run(DocumentSink& sink) override;
  const std::string& name() const override { return name_; }

 private:
  ConfigMapDocument(const ConfigMapConfig& config, std::string space,
                    std::unique_ptr<cluster::KubernetesClient> client);

  void replace(std::vector<cluster::KubernetesObject> objects) override;
  Result<void> put(const std::string& name, std::string_view json) override;
  void remove(const std::string& name) override;
  void fail(const Error& error) override { sink_->fail(error); }

  const ConfigMapConfig config_;
  const std::string space_;
  const std::unique_ptr<cluster::KubernetesClient> client_;
  const std::string name_;
  cluster::KubernetesWatch watch_;
  DocumentSink* sink_ = nullptr;  // while it runs
};

/// What stands at `key` of a ConfigMap. Errors: kBadGateway for what is none; kNotFound, naming the keys that
/// it has.
Result<Version> read_config_map(std::string_view json, const std::string& key);

}  // namespace autoglm::center
