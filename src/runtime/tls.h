#pragma once

#include "base/result.h"
#include "runtime/byte_stream.h"
#include "runtime/deadline.h"

#include <cstdint>
#include <memory>
#include <string>

namespace autoglm {

/// A TLS client's trusted authorities and its own certificate. Immutable; shared by connections, thread-safe.
class TlsClientContext {
 public:
  /// Paths of PEM files.
  struct Options {
    std::string ca_file;           ///< empty: the system's store (and SSL_CERT_FILE, SSL_CERT_DIR)
    std::string certificate_file;  ///< ours, with its chain, for servers that ask for one; empty: none
    std::string key_file;          ///< the key of `certificate_file`
    bool verify = true;            ///< false: any certificate is accepted
  };
  /// Errors: a file that cannot be read, a key that does not fit its certificate.
  static Result<std::shared_ptr<const TlsClientContext>> create(const Options& options);
  static Result<std::shared_ptr<const TlsClientContext>> create() { return create(Options()); }
  ~TlsClientContext();

  struct State;
  const State& state() const { return *state_; }
  /// A different number for every context of the process's lifetime.
  std::uint64_t id() const { return id_; }

 private:
  explicit TlsClientContext(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
  const std::uint64_t id_;
};

/// The client's handshake over `transport`: verifies the chain and that the certificate is for `host`; TLS
/// 1.2 or newer. With a `protocol`, such as "h2", the server must choose it (ALPN). Errors: kUnavailable with
/// OpenSSL's reason, kDeadlineExceeded.
Task<Result<std::unique_ptr<ByteStream>>> tls_connect(std::shared_ptr<const TlsClientContext> context,
                                                      std::unique_ptr<ByteStream> transport, std::string host,
                                                      Deadline deadline, std::string protocol = {});

}  // namespace autoglm
