#include "runtime/tls.h"

#include "runtime/race.h"
#include "runtime/tls_stream.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include <atomic>
#include <utility>

namespace autoglm {

namespace {

Task<Result<std::unique_ptr<ByteStream>>> shake_hands(std::unique_ptr<TlsStream> stream,
                                                      std::string protocol) {
  if (auto done = co_await stream->handshake(); !done) co_return fail(done.error());
  const unsigned char* chosen = nullptr;
  unsigned size = 0;
  SSL_get0_alpn_selected(stream->ssl(), &chosen, &size);
  if (!protocol.empty() && protocol != std::string_view(reinterpret_cast<const char*>(chosen), size)) {
    co_return fail(Error{.code = ErrorCode::kUnavailable,
                         .origin = Origin::kEndpoint,
                         .retry = Retry::kElsewhere,
                         .message = "the server does not choose " + protocol + " (ALPN)"});
  }
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
  state->context = make_ssl_context(TLS_client_method());
  SSL_CTX* context = state->context.get();
  if (context == nullptr) return fail(tls_error("starting TLS"));
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
                                                      Deadline deadline, std::string protocol) {
  Ssl ssl(SSL_new(context->state().context.get()));
  if (!ssl) co_return fail(tls_error("starting TLS"));
  SSL_set_connect_state(ssl.get());
  X509_VERIFY_PARAM* verify = SSL_get0_param(ssl.get());
  // An address is checked against the certificate's addresses; a name against its names, and sent as SNI.
  if (X509_VERIFY_PARAM_set1_ip_asc(verify, host.c_str()) != 1) {
    SSL_set_tlsext_host_name(ssl.get(), host.c_str());
    SSL_set1_host(ssl.get(), host.c_str());
  }
  if (!protocol.empty()) {
    const std::string wire = static_cast<char>(protocol.size()) + protocol;
    SSL_set_alpn_protos(ssl.get(), reinterpret_cast<const unsigned char*>(wire.data()),
                        static_cast<unsigned>(wire.size()));
  }
  ERR_clear_error();
  auto stream = std::make_unique<TlsStream>(std::move(ssl), std::move(transport));
  co_return co_await with_deadline(deadline, shake_hands(std::move(stream), std::move(protocol)),
                                   "the TLS handshake");
}

}  // namespace autoglm
