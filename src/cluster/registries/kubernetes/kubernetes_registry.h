#pragma once

#include "cluster/registries/kubernetes/endpoint_slices.h"
#include "cluster/registries/kubernetes/kubernetes_client.h"
#include "cluster/registries/kubernetes/kubernetes_config.h"
#include "cluster/registries/kubernetes/kubernetes_watch.h"
#include "cluster/registries/registry.h"
#include "runtime/signal.h"

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace autoglm::cluster {

/// The endpoints of a service of Kubernetes, by its EndpointSlices. A slice that changes is kept as it came;
/// all that changed are read together, as often as a thirtieth of a core allows.
class KubernetesRegistry final : public Registry, private KubernetesSink {
 public:
  /// `client` and `files` outlive the registry. Errors: no address or namespace, and this is no pod; a
  /// certificate that cannot be read.
  static Result<std::unique_ptr<Registry>> create(const KubernetesConfig& config, const PodEnvironment& pod,
                                                  http::Client& client, BlockingPool& files,
                                                  KubernetesLimits limits = {});

  Task<void> run(RegistrySink& sink) override;
  const std::string& name() const override { return name_; }

 private:
  KubernetesRegistry(const KubernetesConfig& config, const std::string& space,
                     std::unique_ptr<KubernetesClient> client, KubernetesLimits limits);

  void replace(std::vector<KubernetesObject> objects) override;
  Result<void> put(const std::string& name, std::string_view json) override;
  void remove(const std::string& name) override;
  void fail(const Error& error) override;

  Task<Result<void>> tell_changes();
  Result<void> read_changed();

  const KubernetesConfig config_;
  const KubernetesLimits limits_;
  const std::unique_ptr<KubernetesClient> client_;
  const std::string name_;
  KubernetesWatch watch_;
  RegistrySink* sink_ = nullptr;                          // while it runs
  std::map<std::string, EndpointSlice> slices_;           // by name
  std::unordered_map<std::string, std::string> changed_;  // by name: their JSON, not read yet
  std::unordered_map<std::string, std::size_t> sizes_;    // of all slices' JSON, by name
  std::size_t bytes_ = 0;                                 // of them together
  std::optional<Error> strange_;                          // of a slice that could not be read, not told yet
  Signal dirty_;
};

}  // namespace autoglm::cluster
