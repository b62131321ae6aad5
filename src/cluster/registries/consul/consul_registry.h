#pragma once

#include "cluster/registries/consul/consul_config.h"
#include "cluster/registries/registry.h"
#include "cluster/registries/registry_client.h"

#include <memory>
#include <string>
#include <vector>

namespace autoglm::cluster {

/// The instances of a service in Consul, by blocking queries: Consul answers when something has changed.
class ConsulRegistry final : public Registry {
 public:
  /// `pool` reads long answers; it and `client` outlive the registry. Errors: a certificate that cannot be
  /// read.
  static Result<std::unique_ptr<Registry>> create(const ConsulConfig& config, http::Client& client,
                                                  BlockingPool& pool);

  Task<void> run(RegistrySink& sink) override;
  const std::string& name() const override { return name_; }

 private:
  ConsulRegistry(const ConsulConfig& config, std::unique_ptr<RegistryClient> client, BlockingPool& pool);
  Task<Result<std::vector<Instance>>> read(std::string body);

  const ConsulConfig config_;
  const std::unique_ptr<RegistryClient> client_;
  BlockingPool& pool_;
  const std::string name_;
};

}  // namespace autoglm::cluster
