#pragma once

#include "cluster/registries/nacos/nacos_config.h"
#include "cluster/registries/nacos/nacos_connection.h"
#include "cluster/registries/nacos/nacos_http.h"
#include "runtime/blocking_pool.h"
#include "runtime/tls.h"

#include <memory>
#include <string>

namespace autoglm::cluster {

/// The ways to Nacos: over HTTP, and connections of gRPC to the same members. Control loop only.
class NacosChannel {
 public:
  /// In what language the next thing is asked.
  enum class Way : std::uint8_t { kGrpc, kHttp };

  /// `client` and `names`, which looks up hosts, outlive this. Errors: a certificate that cannot be read.
  static Result<std::unique_ptr<NacosChannel>> create(const NacosAccess& access, std::string module,
                                                      http::Client& client, BlockingPool& names);

  NacosHttp& http() { return *http_; }
  /// A connection to the first member that takes one, of all, beginning with the one whose turn it is; after
  /// a login where that is needed. Errors: kNoNacosGrpc is the reason only if it is so of all members.
  Task<Result<std::unique_ptr<NacosConnection>>> connect();
  /// Asks with a token that is good. When the connection ends with it, it is the next member's turn. Errors:
  /// those of NacosConnection::ask, and of the login.
  Task<Result<std::string>> ask(NacosConnection& connection, NacosMessage question);
  /// The same for what the server sends by itself. Errors: those of NacosConnection::next.
  Task<Result<NacosMessage>> next(NacosConnection& connection);

  /// gRPC unless the configuration, or what was found lately, says otherwise.
  Way way() const;
  /// Whether, after this error of gRPC, HTTP is to be tried: for half a minute, it is the way.
  bool falls_back(const Error& error);
  /// Until when HTTP is the way: never, where the configuration says so.
  Deadline http_until() const {
    return access_.transport == NacosTransport::kHttp ? Deadline::never() : until_;
  }
  /// Tries gRPC next.
  void prefer_grpc() { until_ = Deadline(MonotonicTime::min()); }

 private:
  NacosChannel(const NacosAccess& access, std::string module, std::unique_ptr<NacosHttp> http,
               std::shared_ptr<const TlsClientContext> tls, BlockingPool& names)
      : access_(access),
        module_(std::move(module)),
        http_(std::move(http)),
        tls_(std::move(tls)),
        names_(names) {}
  Task<Result<std::unique_ptr<NacosConnection>>> connect_to_one();
  void left(const NacosConnection& connection);

  const NacosAccess access_;
  const std::string module_;
  const std::unique_ptr<NacosHttp> http_;
  const std::shared_ptr<const TlsClientContext> tls_;  // null: no address needs it
  BlockingPool& names_;
  std::string connected_to_;  // an address of `http_`
  Deadline until_{MonotonicTime::min()};
};

}  // namespace autoglm::cluster
