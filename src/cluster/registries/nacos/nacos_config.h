#pragma once

#include "base/clock.h"
#include "cluster/membership/endpoint_spec.h"
#include "config/descriptor.h"

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace autoglm::cluster {

/// How Nacos is spoken to.
enum class NacosTransport : std::uint8_t {
  kAuto,  ///< gRPC, and HTTP for as long as that cannot be reached
  kGrpc,
  kHttp,
};
inline std::array<config::EnumName<NacosTransport>, 3> enum_names(NacosTransport) {
  return {
      {{"auto", NacosTransport::kAuto}, {"grpc", NacosTransport::kGrpc}, {"http", NacosTransport::kHttp}}};
}

/// Where Nacos is and who we are there: for all that is asked of it.
struct NacosAccess {
  std::string address;                 ///< empty: `addresses`, or Nacos on this machine
  std::vector<std::string> addresses;  ///< of the cluster's members, asked in turn
  std::string name_space = "public";
  std::string username;
  std::string password;
  std::string token;  ///< in place of a login
  EndpointTls tls;
  NacosTransport transport = NacosTransport::kAuto;
  std::uint16_t grpc_port_offset = 1000;

  bool operator==(const NacosAccess&) const = default;

  /// At least one; each has a scheme, and a context path where `address` has none.
  std::vector<std::string> urls() const;
};

/// For `Descriptor::include`.
config::Descriptor<NacosAccess> describe_nacos_access();

/// `discover[].nacos`.
struct NacosConfig {
  NacosAccess access;
  std::string group = "DEFAULT_GROUP";
  std::string service;
  std::vector<std::string> clusters;
  Duration interval = Duration::zero();  ///< zero: as Nacos says

  bool operator==(const NacosConfig&) const = default;
};

config::Descriptor<NacosConfig> describe_nacos();

/// `register[].nacos`.
struct NacosRegistrarConfig {
  NacosAccess access;
  std::string group = "DEFAULT_GROUP";
  std::string cluster = "DEFAULT";

  bool operator==(const NacosRegistrarConfig&) const = default;
};

config::Descriptor<NacosRegistrarConfig> describe_nacos_registrar();

/// What it will ask, for people; no secret.
std::string asks(const NacosConfig& config);
std::string asks(const NacosRegistrarConfig& config);

}  // namespace autoglm::cluster
