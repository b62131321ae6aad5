#pragma once

#include "cluster/registration/registrar.h"
#include "cluster/registries/nacos/nacos_channel.h"
#include "cluster/registries/nacos/nacos_config.h"
#include "cluster/registries/nacos/nacos_connection.h"

#include <memory>
#include <optional>
#include <string>

namespace autoglm::cluster {

/// An instance of a service for a server of ours, which Nacos forgets when we are gone: over gRPC when the
/// connection ends, over HTTP when our beats stop. In Nacos an instance is its address, port and cluster; our
/// id is its metadata `id`. So an instance at our own address is taken over whoever wrote it, and another
/// healthy one with our id is an error. Two servers that begin in the same moment may miss each other.
class NacosRegistrar final : public Registrar {
 public:
  /// `client` and `names` outlive this. Errors: a certificate that cannot be read.
  static Result<std::unique_ptr<Registrar>> create(const NacosRegistrarConfig& config, http::Client& client,
                                                   BlockingPool& names);

  Task<Result<Duration>> keep(const Registration& self) override;
  Task<Result<void>> remove(const Registration& self) override;
  const std::string& name() const override { return name_; }

 private:
  /// Which of Nacos' APIs an entry stands in, or is to.
  enum class Api : std::uint8_t { kV1, kV3, kGrpc };
  struct Entry {
    Registration self;
    Api api;
    bool sure;  // false: it was sent, and no answer has come; it may stand
  };

  NacosRegistrar(const NacosRegistrarConfig& config, std::unique_ptr<NacosChannel> nacos);
  Task<Result<Duration>> keep_by_grpc(const Registration& self);
  Task<Result<Duration>> keep_by_http(const Registration& self);
  Task<Result<void>> is_free(Api api, NacosConnection* connection, const Registration& self);
  Task<Result<void>> enter_by_grpc(NacosConnection& connection, const Registration& self);
  Task<Result<Duration>> enter_by_http(Api api, const Registration& self);
  Task<Result<std::string>> instances(Api api, NacosConnection* connection, const Registration& self);
  Task<Result<void>> write(Api api, const Registration& self);
  Task<Result<Duration>> beat(Api api, const Registration& self);
  Task<void> leave_grpc();
  Task<Result<void>> leave_http();
  Task<Result<std::string>> call(const char* method, std::string path, std::string form);
  Task<Result<std::string>> request(NacosConnection& connection, const char* type, const Registration& self);

  const NacosRegistrarConfig config_;
  const std::unique_ptr<NacosChannel> nacos_;
  const std::string name_;
  std::unique_ptr<NacosConnection> connection_;  // null: none is needed yet
  // What may stand in Nacos. Both only while the way changes: the old one goes when the new one stands.
  std::optional<Entry> by_grpc_;  // of `connection_`
  std::optional<Entry> by_http_;
  Api http_ = Api::kV1;
};

}  // namespace autoglm::cluster
