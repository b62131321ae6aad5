#pragma once

#include "config/descriptor.h"
#include "runtime/tls_server.h"

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace autoglm::app {

/// One of `server.tls.certificates`.
struct CertificateConfig {
  std::string certificate;  ///< PEM file, with its chain
  std::string key;          ///< PEM file

  bool operator==(const CertificateConfig&) const = default;
};

enum class ClientAuth : std::uint8_t { kRequired, kOptional };
inline std::array<config::EnumName<ClientAuth>, 2> enum_names(ClientAuth) {
  return {{{"required", ClientAuth::kRequired}, {"optional", ClientAuth::kOptional}}};
}

enum class TlsVersion : std::uint8_t { k12, k13 };
inline std::array<config::EnumName<TlsVersion>, 2> enum_names(TlsVersion) {
  return {{{"1.2", TlsVersion::k12}, {"1.3", TlsVersion::k13}}};
}

/// `server.tls` and `server.admin_tls`.
struct ListenerTlsConfig {
  std::vector<CertificateConfig> certificates;
  std::string client_ca;                  ///< PEM file; empty: clients are not asked for certificates
  std::optional<ClientAuth> client_auth;  ///< unset: required, where there is a `client_ca`
  TlsVersion min_version = TlsVersion::k12;

  bool operator==(const ListenerTlsConfig&) const = default;
  TlsServerContext::Options options() const;
  /// All files that are read.
  std::vector<std::string> files() const;
};

/// Its check reads the files, and finds what a start would find.
config::Descriptor<ListenerTlsConfig> describe_listener_tls(std::string name, std::string doc);

}  // namespace autoglm::app
