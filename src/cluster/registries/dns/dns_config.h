#pragma once

#include "base/clock.h"
#include "config/descriptor.h"

#include <array>
#include <cstdint>
#include <string>

namespace autoglm::cluster {

enum class DnsType : std::uint8_t { kA, kAaaa, kSrv };
inline std::array<config::EnumName<DnsType>, 3> enum_names(DnsType) {
  return {{{"A", DnsType::kA}, {"AAAA", DnsType::kAaaa}, {"SRV", DnsType::kSrv}}};
}

/// `discover[].dns`.
struct DnsConfig {
  std::string name;
  DnsType type = DnsType::kA;
  std::uint16_t port = 0;  ///< of addresses; a SRV record says its own
  Duration interval = std::chrono::seconds(5);
  std::string server;  ///< "address:port" of an IPv4 address; empty: the system's

  bool operator==(const DnsConfig&) const = default;
};

config::Descriptor<DnsConfig> describe_dns();

/// What it will ask, for people.
std::string asks(const DnsConfig& config);

}  // namespace autoglm::cluster
