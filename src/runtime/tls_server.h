#pragma once

#include "base/result.h"
#include "runtime/byte_stream.h"
#include "runtime/deadline.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace autoglm {

/// A TLS server's certificates, one of which is chosen by the name that the client asks for, and the
/// authority that its clients' certificates must come from. Immutable; shared by connections and loops,
/// thread-safe. Each context has its own ticket keys, so that a session can only be resumed under the
/// authorities that began it.
class TlsServerContext {
 public:
  struct KeyPair {
    std::string certificate_file;  ///< PEM, with its chain
    std::string key_file;          ///< PEM, without a passphrase
  };
  enum class ClientAuth : std::uint8_t {
    kNone,      ///< no certificate is asked for
    kOptional,  ///< a client without a certificate has no identity; a bad certificate is refused
    kRequired,
  };
  struct Options {
    std::vector<KeyPair> certificates;  ///< at least one; the first is for clients that ask for no name or an
                                        ///< unknown one
    std::string client_ca_file;         ///< PEM; needed unless `client_auth` is kNone
    ClientAuth client_auth = ClientAuth::kNone;
    bool only_tls13 = false;
    std::vector<std::string> protocols = {"http/1.1"};  ///< ALPN, most preferred first
  };
  /// What is shown about one of the certificates.
  struct Certificate {
    std::string file;
    std::string name;             ///< its first DNS name, else its subject's common name
    std::string serial;           ///< hexadecimal
    std::int64_t not_before = 0;  ///< unix seconds
    std::int64_t not_after = 0;
  };

  /// Errors: a file that cannot be read, a key that does not fit; `param` names the place in `Options`:
  /// "certificates[1].key", "client_ca".
  static Result<std::shared_ptr<const TlsServerContext>> create(const Options& options);
  ~TlsServerContext();

  const std::vector<Certificate>& certificates() const { return certificates_; }

  struct State;
  const State& state() const { return *state_; }

 private:
  TlsServerContext(std::unique_ptr<State> state, std::vector<Certificate> certificates);
  std::unique_ptr<State> state_;
  std::vector<Certificate> certificates_;
};

/// The outcome of tls_accept().
struct TlsAccepted {
  std::unique_ptr<ByteStream> stream;  ///< its `peer_identity` is from the client's certificate, see
                                       ///< `tls_accept`
  std::string protocol;                ///< from ALPN; empty: the client named none
  bool plain = false;  ///< the client speaks HTTP without TLS: `stream` is the transport, less what was read
};

/// The server's handshake over `transport`. A client's identity is its certificate's first URI, else DNS
/// name, else e-mail address (subject alternative names), else its subject's common name. Errors:
/// kUnavailable when the peer broke off, kUnauthenticated when the handshake failed, with OpenSSL's reason,
/// kDeadlineExceeded.
Task<Result<TlsAccepted>> tls_accept(std::shared_ptr<const TlsServerContext> context,
                                     std::unique_ptr<ByteStream> transport, Deadline deadline);

}  // namespace autoglm
