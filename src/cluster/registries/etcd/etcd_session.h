#pragma once

#include "cluster/registries/etcd/etcd_config.h"
#include "cluster/registries/registry_client.h"

#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace autoglm::cluster {

/// Asks etcd's JSON gateway, as a user where one is configured. Control loop only.
class EtcdSession {
 public:
  /// `timeout`: for a connection, and for an answer. `client` outlives this. Errors: a certificate that
  /// cannot be read.
  static Result<std::unique_ptr<EtcdSession>> create(const EtcdConnection& connection, http::Client& client,
                                                     Duration timeout = std::chrono::seconds(5));

  /// The answer to a POST of `body`. Logs in before, and once more when the token is no longer good: etcd
  /// forgets one after some minutes, and with a restart. Errors: why there is no answer, or what etcd
  /// refuses.
  Task<Result<std::string>> call(std::string_view path, std::string body);
  /// For what is no call. It is logged in behind one.
  RegistryClient& client() { return *client_; }
  /// The next call logs in anew.
  void log_out() { logged_in_ = false; }

 private:
  EtcdSession(const EtcdConnection& connection, std::unique_ptr<RegistryClient> client)
      : connection_(connection), client_(std::move(client)) {}
  Task<Result<void>> log_in();

  const EtcdConnection connection_;
  const std::unique_ptr<RegistryClient> client_;
  bool logged_in_ = false;
};

}  // namespace autoglm::cluster
