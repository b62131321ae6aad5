#pragma once

#include "cluster/registries/etcd/etcd_config.h"
#include "cluster/registries/etcd/etcd_messages.h"
#include "cluster/registries/registry_client.h"

#include <memory>
#include <string>

namespace autoglm::cluster {

/// Asks etcd over its JSON gateway, which every etcd since 3.4 has. Control loop only.
class EtcdClient {
 public:
  /// `client` outlives it. Errors: a certificate that cannot be read.
  static Result<std::unique_ptr<EtcdClient>> create(const EtcdServers& servers, http::Client& client);

  /// The answer to a POST; logs in before the first one, and again behind `forget_token`. Errors: etcd cannot
  /// be asked, or refuses.
  Task<Result<std::string>> call(std::string path, std::string body);
  /// The beginning of an answer without an end; each of its reads may take `patience`. Errors: as `call`.
  Task<Result<std::unique_ptr<http::ClientResponse>>> listen(std::string path, std::string body,
                                                             Duration patience);
  /// After an error: the token may be what is wrong.
  void forget_token() { logged_in_ = false; }
  /// The address that the next call asks.
  const std::string& address() const { return client_->address(); }

 private:
  EtcdClient(const EtcdServers& servers, std::unique_ptr<RegistryClient> client)
      : username_(servers.username), password_(servers.password), client_(std::move(client)) {}
  Task<Result<void>> log_in();
  Task<Result<std::string>> ask(std::string path, std::string body);

  const std::string username_, password_;
  const std::unique_ptr<RegistryClient> client_;
  bool logged_in_ = false;
};

}  // namespace autoglm::cluster
