#pragma once

#include "cluster/registries/etcd/etcd_config.h"
#include "cluster/registries/etcd/etcd_messages.h"
#include "cluster/registries/etcd/etcd_session.h"
#include "cluster/registries/registry.h"

#include <map>
#include <memory>
#include <string>

namespace autoglm::cluster {

/// The servers whose addresses stand below a prefix of etcd: all are read at one revision, and a watch from
/// the next one on tells of changes. A watch that ends, whose revision was compacted, or that was silent for
/// long, begins anew with a read. Over etcd's JSON gateway, which every etcd 3.4 has.
class EtcdRegistry final : public Registry {
 public:
  /// Errors: a certificate that cannot be read.
  static Result<std::unique_ptr<Registry>> create(const EtcdConfig& config, http::Client& client);

  Task<void> run(RegistrySink& sink) override;
  const std::string& name() const override { return name_; }

 private:
  EtcdRegistry(const EtcdConfig& config, std::unique_ptr<EtcdSession> session)
      : config_(config), session_(std::move(session)), name_("etcd " + config.prefix) {}
  Task<Result<EtcdRange>> read_all();
  Task<Result<void>> follow(RegistrySink& sink);
  void tell(RegistrySink& sink) const;

  const EtcdConfig config_;
  const std::unique_ptr<EtcdSession> session_;
  const std::string name_;
  std::map<std::string, std::string> values_;  // by key
};

}  // namespace autoglm::cluster
