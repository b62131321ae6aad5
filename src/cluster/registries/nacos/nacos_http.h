#pragma once

#include "cluster/registries/nacos/nacos_config.h"
#include "cluster/registries/registry_client.h"
#include "runtime/deadline.h"

#include <memory>
#include <string>

namespace autoglm::cluster {

/// Asks Nacos over HTTP: its members in turn, with an access token, for which it logs in, again before the
/// token expires or when it is refused. A token that cannot be renewed is used until it expires. Control loop
/// only; one call at a time.
class NacosHttp {
 public:
  /// `client` outlives this. Errors: a certificate that cannot be read.
  static Result<std::unique_ptr<NacosHttp>> create(const NacosAccess& access, http::Client& client);

  /// Errors: those of `RegistryClient`; kPermissionDenied, the login is refused.
  Task<Result<RegistryClient::Answer>> send(RegistryClient::Question question);
  /// The token for requests that go another way; empty: none is needed.
  Task<Result<std::string>> token();
  /// The token is refused: the next request logs in first, where it can.
  void forget_token() {
    if (logs_in()) token_.clear();
  }
  bool logs_in() const { return !access_.username.empty(); }

  /// The address that the next request asks.
  const std::string& address() const { return client_->address(); }
  /// Asks the next address from now on.
  void give_up() { client_->give_up(); }

 private:
  NacosHttp(const NacosAccess& access, std::unique_ptr<RegistryClient> client)
      : access_(access), client_(std::move(client)), token_(access.token) {}
  Task<Result<void>> log_in();

  const NacosAccess access_;
  const std::unique_ptr<RegistryClient> client_;
  std::string token_;
  Deadline renewed_at_;  // never: the token is configured
  Deadline expires_at_;
};

}  // namespace autoglm::cluster
