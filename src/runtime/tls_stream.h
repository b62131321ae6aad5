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

/// What client and server share; of this room alone, since it names OpenSSL.

template <auto kFree>
struct OpenSslFreer {
  template <class T>
  void operator()(T* object) const {
    kFree(object);
  }
};
using SslContext = std::unique_ptr<SSL_CTX, OpenSslFreer<SSL_CTX_free>>;
using Ssl = std::unique_ptr<SSL, OpenSslFreer<SSL_free>>;

/// `what` and the reason that OpenSSL has noted last on this thread; its notes are gone then.
Error tls_error(const std::string& what);

/// A context with what holds for all of ours: TLS 1.2 or newer, no renegotiation, buffers only while they
/// are needed, no question for a passphrase at a terminal. Null when OpenSSL cannot.
SslContext make_ssl_context(const SSL_METHOD* method);

/// TLS over any ByteStream: OpenSSL works on two buffers of this class, which carries bytes between them
/// and the transport, so nothing of OpenSSL waits for a socket. Only writing sends: what reading makes
/// OpenSSL say (its answer to renewed keys) goes out with the next write, as RFC 8446 allows.
class TlsStream final : public ByteStream {
 public:
  TlsStream(Ssl ssl, std::unique_ptr<ByteStream> transport);

  /// To be done before anything is read or written; whoever `ssl` was made to be.
  Task<Result<void>> handshake();
  /// Waits for what the peer sends next; 0 at its end.
  Task<Result<std::size_t>> receive();
  /// Of that, what OpenSSL has not taken.
  std::string_view received() const { return {wire_.in.get() + wire_.begin, wire_.end - wire_.begin}; }
  /// The transport alone, for a peer that turned out not to speak TLS. Nothing else works then.
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

  const SSL* ssl() const { return ssl_.get(); }
  ByteStream& transport() { return *transport_; }
  void set_identity(std::string identity) { identity_ = std::move(identity); }

 private:
  /// What has come and what is to go, as OpenSSL's BIO sees it.
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
};

}  // namespace autoglm
