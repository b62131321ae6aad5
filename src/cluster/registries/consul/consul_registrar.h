#pragma once

#include "cluster/registration/registrar.h"
#include "cluster/registries/consul/consul_config.h"
#include "cluster/registries/registry_client.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace autoglm::cluster {

/// Registers us with a Consul agent, with a check that the agent believes for `ttl`. An id belongs to who has
/// it at another address for as long as a check finds it alive, at this agent or another one of the
/// datacenter; what is dead may be replaced. Of two that enter at two agents in one moment the lesser address
/// stays.
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
  Task<Result<bool>> is_found_well(const Registration& self);
  Task<Result<void>> settle(const Registration& self);
  Task<Result<void>> deregister(const Registration& self);
  Task<Result<std::optional<std::string>>> rival(const Registration& self);
  Task<Result<bool>> is_dead(const Registration& other);

  const ConsulRegistrarConfig config_;
  const std::unique_ptr<RegistryClient> client_;
  const std::string name_;
  bool may_stand_ = false;   // it was sent, since the start, whatever came of that: it is ours to remove
  bool written_ = false;     // and the agent said so: its checks are ours, too
  bool unobserved_ = false;  // nobody has looked for rivals behind that
};

}  // namespace autoglm::cluster
