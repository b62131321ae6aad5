#include "app/tls_config.h"

#include <utility>

namespace autoglm::app {

namespace {

using Violations = std::vector<config::Violation>;

/// The errors in files, at the key that `Error::param` ends with.
Violations violations(const TlsServerContext::Options& options) {
  const auto made = TlsServerContext::create(options);
  if (made) return {};
  const std::string& param = made.error().param;
  return {{param.substr(param.rfind('.') + 1), made.error().message}};
}

config::Descriptor<CertificateConfig> describe_certificate() {
  using C = CertificateConfig;
  return config::Descriptor<C>("certificate", "A certificate and its key.")
      .field("certificate", &C::certificate,
             {.doc = "A PEM file: the certificate, then those that lead to its authority.",
              .example = "/etc/tls/tls.crt",
              .min = 1,
              .live = true,
              .required = true})
      .field("key", &C::key,
             {.doc = "A PEM file with its private key, without a passphrase.",
              .example = "/etc/tls/tls.key",
              .min = 1,
              .live = true,
              .required = true})
      .check([](const C& c) { return violations({.certificates = {{c.certificate, c.key}}}); });
}

/// Checks the clients' authority with a certificate that is valid; errors of certificates have been reported.
Violations check_clients(const ListenerTlsConfig& c) {
  if (c.certificates.empty()) return {{"certificates", "names none; TLS needs one"}};
  if (c.client_ca.empty() && c.client_auth)
    return {{"client_auth", "needs a `client_ca`: without it nobody's certificate is asked for"}};
  return violations(c.options());
}

}  // namespace

TlsServerContext::Options ListenerTlsConfig::options() const {
  using Auth = TlsServerContext::ClientAuth;
  TlsServerContext::Options options{.client_ca_file = client_ca,
                                    .only_tls13 = min_version == TlsVersion::k13};
  for (const CertificateConfig& each : certificates)
    options.certificates.push_back({each.certificate, each.key});
  if (!client_ca.empty())
    options.client_auth = client_auth == ClientAuth::kOptional ? Auth::kOptional : Auth::kRequired;
  return options;
}

std::vector<std::string> ListenerTlsConfig::files() const {
  std::vector<std::string> files;
  for (const CertificateConfig& each : certificates) {
    files.push_back(each.certificate);
    files.push_back(each.key);
  }
  if (!client_ca.empty()) files.push_back(client_ca);
  return files;
}

config::Descriptor<ListenerTlsConfig> describe_listener_tls(std::string name, std::string doc) {
  using C = ListenerTlsConfig;
  return config::Descriptor<C>(std::move(name), std::move(doc))
      .section(
          "certificates", &C::certificates, describe_certificate(),
          {.doc =
               "The first is the default; others are for clients that ask for one of their DNS names (SNI), "
               "wildcards included. Their files are watched and read again when they change.",
           .live = true,
           .required = true})
      .field("client_ca", &C::client_ca,
             {.doc = "A PEM file of authorities. When set, clients must show a certificate of one of them.",
              .example = "/etc/tls/clients.crt",
              .live = true})
      .field(
          "client_auth", &C::client_auth,
          {.doc = "`optional`: who shows no certificate is let in, without a name. Unset: `required`, where "
                  "there is a `client_ca`.",
           .live = true})
      .field("min_version", &C::min_version, {.doc = "The oldest TLS that is spoken.", .live = true})
      .check(check_clients);
}

}  // namespace autoglm::app
