#pragma once

#include "cluster/registration/registrar.h"
#include "cluster/registries/consul/consul_config.h"
#include "cluster/registries/registry_client.h"

#include <memory>
#include <string>
#include <utility>

namespace autoglm::cluster {

/// Registers us with a Consul agent, with a check that the agent believes for `ttl`. An id belongs to who has
/// it at another address for as long as a check finds it alive, at this agent or another one of the
/// datacenter; what is dead may be replaced.
class ConsulRegistrar final : public Registrar {
 public:
  /// `client` outlives it. Errors: a certificate that cannot be read.
  static Result<std::unique_ptr<Registrar>> create(const ConsulRegistrarConfig& config,
                                                   const std::string& service, http::Client& client);

  Task<Result<Duration>> keep(const Registration& self) override;
  Task<Result<void>> remove(const Registration& self) override;
  const std::string& name() const override { return name_; }

 private:
  ConsulRegistrar(const ConsulRegistrarConfig& config, const std::string& service,
                  std::unique_ptr<RegistryClient> client)
      : config_(config), client_(std::move(client)), name_("consul " + service) {}
  Task<Result<void>> write(const Registration& self);
  Task<Result<bool>> beat(const Registration& self);
  Task<Result<void>> check_rivals(const Registration& self);
  Task<Result<bool>> is_dead(const Registration& other);

  const ConsulRegistrarConfig config_;
  const std::unique_ptr<RegistryClient> client_;
  const std::string name_;
  bool written_ = false;  // by us, since the start: its checks are ours, too
};

}  // namespace autoglm::cluster
