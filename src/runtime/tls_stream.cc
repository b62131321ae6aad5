#include "runtime/tls_stream.h"

#include <openssl/err.h>
#include <openssl/x509_vfy.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

namespace autoglm {

namespace {

constexpr std::size_t kIdleRead = 2 * 1024;   // read buffer of a waiting connection
constexpr std::size_t kBusyRead = 18 * 1024;  // a whole record, for a peer that sends much
constexpr std::size_t kRecord = 16 * 1024;
constexpr std::size_t kFlushAt = 64 * 1024;
constexpr std::size_t kMostUnsent = 64 * 1024;  // limit on answers a peer may provoke while we write nothing

/// A key with a passphrase is an error, not a prompt at the terminal.
int no_passphrase(char* /*buffer*/, int /*size*/, int /*writing*/, void* /*data*/) { return 0; }

}  // namespace

Error tls_error(const std::string& what) {
  std::array<char, 256> text{};
  const unsigned long code = ERR_get_error();
  ERR_error_string_n(code, text.data(), text.size());
  ERR_clear_error();
  return Error{.code = ErrorCode::kUnavailable,
               .origin = Origin::kEndpoint,
               .retry = Retry::kElsewhere,
               .message = what + ": " + (code != 0 ? text.data() : "the peer broke off")};
}

SslContext make_ssl_context(const SSL_METHOD* method) {
  SslContext context(SSL_CTX_new(method));
  if (!context) return context;
  SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  SSL_CTX_set_options(context.get(), SSL_OP_NO_RENEGOTIATION);
  SSL_CTX_set_mode(context.get(), SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_default_passwd_cb(context.get(), no_passphrase);
  return context;
}

BIO_METHOD* TlsStream::bio_method() {
  // One for the process, never freed: a table of functions.
  static BIO_METHOD* const method = [] {
    BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "byte stream");
    BIO_meth_set_read_ex(made, read_wire);
    BIO_meth_set_write_ex(made, write_wire);
    BIO_meth_set_ctrl(made, [](BIO* /*bio*/, int command, long /*number*/, void* /*pointer*/) -> long {
      return command == BIO_CTRL_FLUSH ? 1 : 0;
    });
    return made;
  }();
  return method;
}

int TlsStream::read_wire(BIO* bio, char* out, std::size_t size, std::size_t* count) {
  Wire& wire = *static_cast<Wire*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  *count = std::min(size, wire.end - wire.begin);
  if (*count == 0) {
    BIO_set_retry_read(bio);
    return 0;
  }
  std::memcpy(out, wire.in.get() + wire.begin, *count);
  wire.begin += *count;
  return 1;
}

int TlsStream::write_wire(BIO* bio, const char* data, std::size_t size, std::size_t* count) {
  static_cast<Wire*>(BIO_get_data(bio))->out.append(data, size);
  *count = size;
  return 1;
}

TlsStream::TlsStream(Ssl ssl, std::unique_ptr<ByteStream> transport)
    : ssl_(std::move(ssl)), transport_(std::move(transport)) {
  BIO* bio = BIO_new(bio_method());
  BIO_set_data(bio, &wire_);
  BIO_set_init(bio, 1);
  SSL_set_bio(ssl_.get(), bio, bio);  // takes ownership
}

Task<Result<void>> TlsStream::handshake() {
  while (true) {
    ERR_clear_error();
    const int status = SSL_do_handshake(ssl_.get());
    const int reason = SSL_get_error(ssl_.get(), status);
    Error error = status == 1 ? Error{} : handshake_error(reason);
    if (auto flushed = co_await flush(); !flushed) co_return fail(flushed.error());
    if (status == 1) co_return {};
    if (reason != SSL_ERROR_WANT_READ) co_return fail(std::move(error));
    const auto count = co_await receive();
    if (!count) co_return fail(count.error());
    if (*count == 0) co_return fail(tls_error("TLS handshake with " + peer()));
  }
}

Task<Result<std::size_t>> TlsStream::receive() {
  // A peer that has just filled the buffer sends much; all others get a small one.
  const bool much = wire_.capacity > 0 && wire_.end == wire_.capacity;
  const std::size_t size = much ? kBusyRead : kIdleRead;
  wire_.begin = wire_.end = 0;
  if (size != wire_.capacity) {
    wire_.in = std::make_unique_for_overwrite<char[]>(size);
    wire_.capacity = size;
  }
  const auto count = co_await transport_->read_some(std::span<char>(wire_.in.get(), size));
  if (count) wire_.end = *count;
  co_return count;
}

/// Whether OpenSSL may return something now without another byte from the peer.
bool TlsStream::may_have_more() const {
  return !received().empty() || SSL_has_pending(ssl_.get()) == 1 || SSL_get_shutdown(ssl_.get()) != 0;
}

void TlsStream::watch(StreamWatch* watch) {
  transport_->watch(watch);
  if (watch != nullptr && may_have_more()) watch->stirred();
}

Task<Result<std::size_t>> TlsStream::read_some(std::span<char> buffer) {
  // Before bytes arrive OpenSSL is not asked: it would allocate a buffer of a record's size.
  bool ask = may_have_more();
  while (true) {
    if (ask) {
      ERR_clear_error();
      std::size_t count = 0;
      const int status = SSL_read_ex(ssl_.get(), buffer.data(), buffer.size(), &count);
      const int reason = SSL_get_error(ssl_.get(), status);
      if (status == 1) co_return count;
      if (reason == SSL_ERROR_ZERO_RETURN) co_return std::size_t{0};
      if (reason != SSL_ERROR_WANT_READ) co_return fail(tls_error("reading TLS from " + peer()));
    }
    if (const char* trouble = unsent_trouble())
      co_return fail(Error{.code = ErrorCode::kUnavailable,
                           .origin = Origin::kEndpoint,
                           .retry = Retry::kElsewhere,
                           .message = "reading TLS from " + peer() + trouble});
    const auto arrived = co_await receive();
    if (!arrived) co_return fail(arrived.error());
    // An end without close_notify could be an attacker's truncation: an error, not an end.
    if (*arrived == 0)
      co_return fail(tls_error("reading TLS from " + peer() + ": cut off without close_notify"));
    ask = true;
  }
}

/// Parts that fit into one record go out as one: a chunk's size, data and end are three parts.
Task<Result<void>> TlsStream::write_all(std::span<const std::string_view> parts) {
  if (parts.size() == 1) {
    if (auto done = co_await encrypt_all(parts.front()); !done) co_return done;
    co_return co_await flush();
  }
  std::string gathered;
  for (const std::string_view part : parts) {
    if (gathered.size() + part.size() > kRecord && !gathered.empty()) {
      if (auto done = encrypt(gathered); !done) co_return done;
      gathered.clear();
    }
    if (part.size() <= kRecord) {
      gathered += part;
    } else if (auto done = co_await encrypt_all(part); !done) {
      co_return done;
    }
  }
  if (auto done = encrypt(gathered); !done) co_return done;
  co_return co_await flush();
}

Task<Result<void>> TlsStream::shutdown_write() {
  ERR_clear_error();
  if (SSL_is_init_finished(ssl_.get())) SSL_shutdown(ssl_.get());
  ERR_clear_error();
  if (auto sent = co_await flush(); !sent) co_return sent;
  co_return co_await transport_->shutdown_write();
}

/// What reading makes OpenSSL produce waits for the next write. That is fine for a key update; an alert that
/// refuses renegotiation (TLS 1.2) would leave the peer waiting forever.
const char* TlsStream::unsent_trouble() const {
  if (wire_.out.empty()) return nullptr;
  if (SSL_version(ssl_.get()) < TLS1_3_VERSION) return ": it wants to renegotiate";
  return wire_.out.size() > kMostUnsent ? ": it renews keys without end" : nullptr;
}

Error TlsStream::handshake_error(int reason) const {
  const long verified = SSL_get_verify_result(ssl_.get());
  if (reason == SSL_ERROR_SSL && verified != X509_V_OK) {
    ERR_clear_error();
    return Error{.code = ErrorCode::kUnavailable,
                 .origin = Origin::kEndpoint,
                 .retry = Retry::kElsewhere,
                 .message = "the certificate of " + transport_->peer() +
                            " was refused: " + X509_verify_cert_error_string(verified)};
  }
  if (reason == SSL_ERROR_WANT_READ) return Error{};
  return tls_error("TLS handshake with " + transport_->peer());
}

Result<void> TlsStream::encrypt(std::string_view bytes) {
  while (!bytes.empty()) {
    ERR_clear_error();
    std::size_t written = 0;
    if (SSL_write_ex(ssl_.get(), bytes.data(), bytes.size(), &written) != 1)
      return fail(tls_error("writing TLS to " + peer()));
    bytes.remove_prefix(written);
  }
  return {};
}

/// In pieces, so that at most one piece is held encrypted beside its plain text.
Task<Result<void>> TlsStream::encrypt_all(std::string_view bytes) {
  while (!bytes.empty()) {
    const std::string_view piece = bytes.substr(0, kFlushAt);
    if (auto done = encrypt(piece); !done) co_return done;
    bytes.remove_prefix(piece.size());
    if (bytes.empty()) break;
    if (auto flushed = co_await flush(); !flushed) co_return flushed;
  }
  co_return {};
}

/// Sends what OpenSSL has produced. Called only from a write, so flushes never overlap.
Task<Result<void>> TlsStream::flush() {
  while (!wire_.out.empty()) {
    const std::string bytes = std::exchange(wire_.out, {});
    if (auto sent = co_await transport_->write_all(bytes); !sent) co_return sent;
  }
  co_return {};
}

}  // namespace autoglm
