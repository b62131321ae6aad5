#pragma once

#include "base/result.h"
#include "runtime/byte_stream.h"

#include <openssl/ssl.h>

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace autoglm {

/// Shared by client and server; for sources of this room only, since it names OpenSSL.

template <auto kFree>
struct OpenSslFreer {
  template <class T>
  void operator()(T* object) const {
    kFree(object);
  }
};
using SslContext = std::unique_ptr<SSL_CTX, OpenSslFreer<SSL_CTX_free>>;
using Ssl = std::unique_ptr<SSL, OpenSslFreer<SSL_free>>;

/// `what` with the earliest reason in this thread's OpenSSL error queue; empties the queue.
Error tls_error(const std::string& what);

/// A context with the settings that all of ours share: TLS 1.2 or newer, no renegotiation, buffers only while
/// they are needed, no passphrase prompt at a terminal. Null when OpenSSL cannot make one.
SslContext make_ssl_context(const SSL_METHOD* method);

/// TLS over any ByteStream: OpenSSL works on two buffers of this class, which moves bytes between them and
/// the transport, so OpenSSL never waits for a socket. Only writing sends: messages that reading makes
/// OpenSSL produce (its answer to a key update) go out with the next write, as RFC 8446 allows.
class TlsStream final : public ByteStream {
 public:
  TlsStream(Ssl ssl, std::unique_ptr<ByteStream> transport);

  /// Must complete before anything is read or written; `ssl`'s state decides whether as client or as server.
  Task<Result<void>> handshake();
  /// Waits for the peer's next bytes; 0 at the end of the transport.
  Task<Result<std::size_t>> receive();
  /// Received bytes that OpenSSL has not taken.
  std::string_view received() const { return {wire_.in.get() + wire_.begin, wire_.end - wire_.begin}; }
  /// The bare transport, for a peer that turned out not to speak TLS. This object is unusable afterwards.
  std::unique_ptr<ByteStream> give_up() { return std::move(transport_); }

  Task<Result<std::size_t>> read_some(std::span<char> buffer) override;
  Task<Result<void>> write_all(std::span<const std::string_view> parts) override;
  void watch(StreamWatch* watch) override;
  bool peer_ended() const override { return transport_->peer_ended(); }
  std::uint64_t taken() const override { return transport_->taken(); }
  Task<Result<void>> shutdown_write() override;
  void close() override { transport_->close(); }
  const std::string& peer() const override { return transport_->peer(); }
  const std::string& peer_identity() const override { return identity_; }
  std::shared_ptr<const std::vector<std::string>> peer_names() const override { return names_; }

  const SSL* ssl() const { return ssl_.get(); }
  ByteStream& transport() { return *transport_; }
  void set_identity(std::string identity, std::vector<std::string> names) {
    identity_ = std::move(identity);
    names_ = std::make_shared<const std::vector<std::string>>(std::move(names));
  }

 private:
  /// The bytes that have come and those to be sent, as OpenSSL's BIO sees them.
  struct Wire {
    std::unique_ptr<char[]> in;
    std::size_t capacity = 0;
    std::size_t begin = 0;
    std::size_t end = 0;
    std::string out;
  };
  static BIO_METHOD* bio_method();
  static int read_wire(BIO* bio, char* out, std::size_t size, std::size_t* count);
  static int write_wire(BIO* bio, const char* data, std::size_t size, std::size_t* count);

  bool may_have_more() const;
  const char* unsent_trouble() const;
  Error handshake_error(int reason) const;
  Result<void> encrypt(std::string_view bytes);
  Task<Result<void>> encrypt_all(std::string_view bytes);
  Task<Result<void>> flush();

  Ssl ssl_;
  std::unique_ptr<ByteStream> transport_;
  Wire wire_;
  std::string identity_;
  std::shared_ptr<const std::vector<std::string>> names_;  // null: no certificate
};

}  // namespace autoglm
