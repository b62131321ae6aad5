#pragma once

#include "cluster/registries/etcd/etcd_watch.h"
#include "cluster/registries/registry.h"
#include "runtime/signal.h"

#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <string>

namespace autoglm::cluster {

/// The servers whose addresses stand below a prefix of etcd.
class EtcdRegistry final : public Registry {
 public:
  /// `client` outlives it. Errors: a certificate that cannot be read.
  static Result<std::unique_ptr<Registry>> create(const EtcdConfig& config, http::Client& client);

  Task<void> run(RegistrySink& sink) override;
  const std::string& name() const override { return name_; }

 private:
  EtcdRegistry(const EtcdConfig& config, std::unique_ptr<EtcdClient> client)
      : name_("etcd " + config.prefix), watch_(std::move(client), EtcdKeys::below(config.prefix)) {}

  void push(RegistrySink& sink);
  Task<void> push_changes(RegistrySink& sink);

  /// A value as it was read.
  struct Read {
    std::size_t hash = 0;  // of the text
    std::optional<Instance> instance;
  };
  const std::string name_;
  EtcdWatch watch_;
  const EtcdWatch::Values* values_ = nullptr;  // the watch's; null: none yet
  Signal changed_;                             // and not pushed yet
  std::map<std::string, Read> read_;           // by key
};

}  // namespace autoglm::cluster
