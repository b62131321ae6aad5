#include "runtime/tls.h"

#include "runtime/race.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <array>
#include <atomic>
#include <utility>

namespace autoglm {

namespace {

template <auto kFree>
struct Freer {
  template <class T>
  void operator()(T* object) const {
    kFree(object);
  }
};
using SslContext = std::unique_ptr<SSL_CTX, Freer<SSL_CTX_free>>;
using Ssl = std::unique_ptr<SSL, Freer<SSL_free>>;

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

/// TLS over any ByteStream: OpenSSL works on two memory buffers and this class carries bytes
/// between them and the transport, so nothing of OpenSSL waits for a socket.
class TlsStream final : public ByteStream {
 public:
  TlsStream(Ssl ssl, std::unique_ptr<ByteStream> transport)
      : ssl_(std::move(ssl)), transport_(std::move(transport)) {
    incoming_ = BIO_new(BIO_s_mem());
    outgoing_ = BIO_new(BIO_s_mem());
    BIO_set_mem_eof_return(incoming_, -1);
    SSL_set_bio(ssl_.get(), incoming_, outgoing_);  // owns both from here
  }

  Task<Result<void>> handshake() {
    while (true) {
      const int status = SSL_do_handshake(ssl_.get());
      const int reason = SSL_get_error(ssl_.get(), status);
      Error error = status == 1 ? Error{} : handshake_error(reason);
      if (auto flushed = co_await flush(); !flushed) co_return fail(flushed.error());
      if (status == 1) co_return {};
      if (reason != SSL_ERROR_WANT_READ) co_return fail(std::move(error));
      const auto filled = co_await fill();
      if (!filled) co_return fail(filled.error());
      if (*filled == 0) co_return fail(tls_error("TLS handshake with " + peer()));
    }
  }

  Task<Result<std::size_t>> read_some(std::span<char> buffer) override {
    while (true) {
      std::size_t count = 0;
      const int status = SSL_read_ex(ssl_.get(), buffer.data(), buffer.size(), &count);
      const int reason = SSL_get_error(ssl_.get(), status);
      if (status == 1) co_return count;
      if (reason == SSL_ERROR_ZERO_RETURN) co_return std::size_t{0};
      if (reason != SSL_ERROR_WANT_READ) co_return fail(tls_error("reading TLS from " + peer()));
      if (auto flushed = co_await flush(); !flushed) co_return fail(flushed.error());  // renewed keys
      const auto filled = co_await fill();
      if (!filled) co_return fail(filled.error());
      // An end without close_notify could be an attacker's cut: an error, not an end.
      if (*filled == 0)
        co_return fail(tls_error("reading TLS from " + peer() + ": cut off without close_notify"));
    }
  }

  Task<Result<void>> write_all(std::span<const std::string_view> parts) override {
    for (const std::string_view part : parts) {
      std::size_t offset = 0;
      while (offset < part.size()) {
        std::size_t written = 0;
        const int status = SSL_write_ex(ssl_.get(), part.data() + offset, part.size() - offset, &written);
        if (status != 1) co_return fail(tls_error("writing TLS to " + peer()));
        offset += written;
      }
    }
    co_return co_await flush();
  }

  void shutdown_write() override {
    SSL_shutdown(ssl_.get());
    transport_->shutdown_write();
  }
  void close() override { transport_->close(); }
  const std::string& peer() const override { return transport_->peer(); }

 private:
  Error handshake_error(int reason) const {
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

  /// Sends what OpenSSL has produced.
  Task<Result<void>> flush() {
    char* data = nullptr;
    const long size = BIO_get_mem_data(outgoing_, &data);
    if (size <= 0) co_return {};
    const std::string bytes(data, static_cast<std::size_t>(size));
    BIO_reset(outgoing_);
    co_return co_await transport_->write_all(bytes);
  }

  /// Feeds OpenSSL with what arrives next; 0 at the end of the transport.
  Task<Result<std::size_t>> fill() {
    auto count = co_await transport_->read_some(std::span<char>(input_));
    if (count && *count > 0) BIO_write(incoming_, input_.data(), static_cast<int>(*count));
    co_return count;
  }

  Ssl ssl_;
  std::unique_ptr<ByteStream> transport_;
  BIO* incoming_ = nullptr;  // both owned by ssl_
  BIO* outgoing_ = nullptr;
  std::array<char, 16 * 1024> input_{};
};

Task<Result<std::unique_ptr<ByteStream>>> shake_hands(std::unique_ptr<TlsStream> stream) {
  if (auto done = co_await stream->handshake(); !done) co_return fail(done.error());
  co_return std::unique_ptr<ByteStream>(std::move(stream));
}

}  // namespace

struct TlsClientContext::State {
  SslContext context;
};

TlsClientContext::TlsClientContext(std::unique_ptr<State> state)
    : state_(std::move(state)), id_([] {
        static std::atomic<std::uint64_t> last{0};
        return ++last;
      }()) {}
TlsClientContext::~TlsClientContext() = default;

Result<std::shared_ptr<const TlsClientContext>> TlsClientContext::create(const Options& options) {
  auto state = std::make_unique<State>();
  state->context.reset(SSL_CTX_new(TLS_client_method()));
  SSL_CTX* context = state->context.get();
  if (context == nullptr) return fail(tls_error("starting TLS"));
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_verify(context, options.verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, nullptr);
  ERR_clear_error();
  const std::string& ca = options.ca_file;
  const int loaded = ca.empty() ? SSL_CTX_set_default_verify_paths(context)
                                : SSL_CTX_load_verify_locations(context, ca.c_str(), nullptr);
  if (loaded != 1) return fail(tls_error("reading certificates from " + (ca.empty() ? "the system" : ca)));
  if (!options.certificate_file.empty()) {
    if (SSL_CTX_use_certificate_chain_file(context, options.certificate_file.c_str()) != 1)
      return fail(tls_error("reading the certificate in " + options.certificate_file));
    if (SSL_CTX_use_PrivateKey_file(context, options.key_file.c_str(), SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_check_private_key(context) != 1)
      return fail(tls_error("reading the key in " + options.key_file + " of " + options.certificate_file));
  }
  return std::shared_ptr<const TlsClientContext>(new TlsClientContext(std::move(state)));
}

Task<Result<std::unique_ptr<ByteStream>>> tls_connect(std::shared_ptr<const TlsClientContext> context,
                                                      std::unique_ptr<ByteStream> transport, std::string host,
                                                      Deadline deadline) {
  Ssl ssl(SSL_new(context->state().context.get()));
  if (!ssl) co_return fail(tls_error("starting TLS"));
  SSL_set_connect_state(ssl.get());
  X509_VERIFY_PARAM* verify = SSL_get0_param(ssl.get());
  // An address is checked against the certificate's addresses, a name against its names and sent as SNI.
  if (X509_VERIFY_PARAM_set1_ip_asc(verify, host.c_str()) != 1) {
    SSL_set_tlsext_host_name(ssl.get(), host.c_str());
    SSL_set1_host(ssl.get(), host.c_str());
  }
  ERR_clear_error();
  auto stream = std::make_unique<TlsStream>(std::move(ssl), std::move(transport));
  co_return co_await with_deadline(deadline, shake_hands(std::move(stream)), "the TLS handshake");
}

}  // namespace autoglm
