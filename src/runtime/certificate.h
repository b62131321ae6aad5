#pragma once

#include <openssl/x509.h>

#include <cstdint>
#include <string>
#include <vector>

namespace autoglm {

/// A certificate's contents as plain data. For sources of this room only, since it names OpenSSL.
struct CertificateFacts {
  std::vector<std::string> names;  ///< DNS names, wildcards included; without one, the subject's common name
  std::string serial;              ///< hexadecimal
  std::int64_t not_before = 0;     ///< unix seconds
  std::int64_t not_after = 0;
};
CertificateFacts facts_of(const X509& certificate);

/// All names that a client's certificate has, each with its kind: "uri:spiffe://x/y", "dns:web.example" in
/// small letters, and its subject's "cn:web".
std::vector<std::string> names_of(const X509& certificate);

/// The identity that a client's certificate names: its first URI, else DNS name, else e-mail address, else
/// its subject's common name, else empty.
std::string identity_of(const X509& certificate);

}  // namespace autoglm
