#pragma once

#include "base/clock.h"
#include "cluster/membership/endpoint_spec.h"
#include "config/descriptor.h"
#include "config/make_type.h"

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace autoglm::cluster {

/// How a Consul is reached.
struct ConsulConnection {
  std::string address = "http://127.0.0.1:8500";
  std::string token;
  EndpointTls tls;

  bool operator==(const ConsulConnection&) const = default;
};

/// `discover[].consul`.
struct ConsulConfig {
  ConsulConnection connection;
  std::string service;
  std::vector<std::string> tags;
  std::string datacenter;
  bool passing = true;
  Duration wait = std::chrono::seconds(30);

  bool operator==(const ConsulConfig&) const = default;
};

/// How Consul knows that a registered server lives.
enum class ConsulCheck : std::uint8_t {
  kTtl,   ///< the server says so
  kHttp,  ///< Consul asks its /readyz
};
inline std::array<config::EnumName<ConsulCheck>, 2> enum_names(ConsulCheck) {
  return {{{"ttl", ConsulCheck::kTtl}, {"http", ConsulCheck::kHttp}}};
}

/// `register[].consul`.
struct ConsulRegistrarConfig {
  ConsulConnection connection;
  ConsulCheck check = ConsulCheck::kTtl;
  Duration ttl = std::chrono::seconds(15);
  Duration deregister_after = std::chrono::minutes(1);  ///< zero: never

  bool operator==(const ConsulRegistrarConfig&) const = default;
};

config::Descriptor<ConsulConnection> describe_consul_connection();
config::Descriptor<ConsulConfig> describe_consul();
config::Descriptor<ConsulRegistrarConfig> describe_consul_registrar();

/// What it will ask, for people; no secret.
std::string asks(const ConsulConfig& config);
std::string asks(const ConsulRegistrarConfig& config);
/// The path of the query for a service's instances, which more is added to.
std::string consul_health_path(const ConsulConfig& config);

}  // namespace autoglm::cluster
