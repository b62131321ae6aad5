#pragma once

#include "cluster/registration/registrar.h"
#include "cluster/registries/etcd/etcd_config.h"
#include "cluster/registries/etcd/etcd_lease.h"
#include "cluster/registries/etcd/etcd_session.h"

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

namespace autoglm::cluster {

/// Keeps a key of etcd with our address as its value, by a lease: the key goes with us. A key that is there
/// belongs to whoever it names; one that names our address is ours, from a life before.
class EtcdRegistrar final : public Registrar {
 public:
  /// `client` outlives it. Errors: a certificate that cannot be read.
  static Result<std::unique_ptr<Registrar>> create(const EtcdRegistrarConfig& config, http::Client& client);

  Task<Result<Duration>> keep(const Registration& self) override;
  Task<Result<void>> remove(const Registration& self) override;
  const std::string& name() const override { return name_; }

 private:
  EtcdRegistrar(const EtcdRegistrarConfig& config, std::unique_ptr<EtcdSession> session)
      : config_(config), session_(std::move(session)), name_("etcd " + config.prefix) {}
  Task<Result<Duration>> keep_lease();
  Task<Result<EtcdWrite>> write(const Registration& self, std::int64_t revision);

  const EtcdRegistrarConfig config_;
  const std::unique_ptr<EtcdSession> session_;
  const std::string name_;
  std::int64_t lease_ = 0;  // 0: none
};

}  // namespace autoglm::cluster
