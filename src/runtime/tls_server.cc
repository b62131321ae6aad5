#include "runtime/tls_server.h"

#include "runtime/certificate.h"
#include "runtime/race.h"
#include "runtime/server_names.h"
#include "runtime/tls_stream.h"

#include <openssl/err.h>
#include <openssl/x509_vfy.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

namespace autoglm {

struct TlsServerContext::State {
  std::vector<SslContext> contexts;  // one per certificate, otherwise identical
  ServerNames names;
  std::string protocols;  // in ALPN's wire format
};

namespace {

using State = TlsServerContext::State;

// Forward secrecy and AEAD only. TLS 1.3 has nothing else.
constexpr const char* kCiphers =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
    "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";
constexpr const char* kGroups = "X25519:P-256:P-384";
constexpr std::string_view kSessionContext = "open-autoglm";
constexpr Duration kLinger = std::chrono::seconds(2);

std::unexpected<Error> wrong(std::string param, std::string message) {
  ERR_clear_error();
  return fail(
      Error{.code = ErrorCode::kInvalidArgument, .message = std::move(message), .param = std::move(param)});
}

/// The same, with OpenSSL's reason.
std::unexpected<Error> wrong_by_openssl(std::string param, const std::string& what) {
  return wrong(std::move(param), tls_error(what).message);
}

bool readable(const std::string& file) { return ::access(file.c_str(), R_OK) == 0; }
std::string unreadable(const std::string& file) {
  return "cannot be read: " + file + ": " + std::strerror(errno);
}

int choose_certificate(SSL* ssl, int* /*alert*/, void* argument) {
  const State& state = *static_cast<const State*>(argument);
  const char* name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
  const auto chosen = name == nullptr ? std::nullopt : state.names.find(name);
  if (!chosen) return SSL_TLSEXT_ERR_NOACK;  // the default certificate; the client decides
  return SSL_set_SSL_CTX(ssl, state.contexts[*chosen].get()) != nullptr ? SSL_TLSEXT_ERR_OK
                                                                        : SSL_TLSEXT_ERR_ALERT_FATAL;
}

/// A client that offers protocols, but none of ours, is refused: we would misread what it sends.
int choose_protocol(SSL* /*ssl*/, const unsigned char** out, unsigned char* size,
                    const unsigned char* offered, unsigned int offered_size, void* argument) {
  const std::string& ours = static_cast<const State*>(argument)->protocols;
  unsigned char* chosen = nullptr;
  const int outcome =
      SSL_select_next_proto(&chosen, size, reinterpret_cast<const unsigned char*>(ours.data()),
                            static_cast<unsigned int>(ours.size()), offered, offered_size);
  *out = chosen;
  return outcome == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

Result<void> use_pair(SSL_CTX* context, const TlsServerContext::KeyPair& pair, const std::string& place) {
  const std::string& certificate = pair.certificate_file;
  const std::string& key = pair.key_file;
  if (!readable(certificate)) return wrong(place + "certificate", unreadable(certificate));
  if (!readable(key)) return wrong(place + "key", unreadable(key));
  ERR_clear_error();
  if (SSL_CTX_use_certificate_chain_file(context, certificate.c_str()) != 1)
    return wrong_by_openssl(place + "certificate", "is no file of certificates: " + certificate);
  if (SSL_CTX_use_PrivateKey_file(context, key.c_str(), SSL_FILETYPE_PEM) != 1) {
    if (ERR_GET_REASON(ERR_peek_last_error()) != X509_R_KEY_VALUES_MISMATCH)
      return wrong_by_openssl(place + "key", "is no file of a private key without passphrase: " + key);
    return wrong(place + "key",
                 "does not fit its certificate: " + key + " is another key than that of " + certificate);
  }
  // A key of another type than the certificate's has not been noticed so far.
  if (SSL_CTX_check_private_key(context) != 1)
    return wrong(place + "key",
                 "does not fit its certificate: " + key + " is of another kind than " + certificate);
  return {};
}

Result<void> ask_clients(SSL_CTX* context, const TlsServerContext::Options& options) {
  using enum TlsServerContext::ClientAuth;
  if (options.client_auth == kNone) return {};
  const std::string& file = options.client_ca_file;
  if (!readable(file)) return wrong("client_ca", unreadable(file));
  ERR_clear_error();
  STACK_OF(X509_NAME)* names = SSL_load_client_CA_file(file.c_str());
  if (names == nullptr || SSL_CTX_load_verify_locations(context, file.c_str(), nullptr) != 1) {
    sk_X509_NAME_pop_free(names, X509_NAME_free);
    return wrong_by_openssl("client_ca", "is no file of certificates: " + file);
  }
  SSL_CTX_set_client_CA_list(context, names);  // takes ownership
  SSL_CTX_set_verify(
      context, SSL_VERIFY_PEER | (options.client_auth == kRequired ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0),
      nullptr);
  return {};
}

Result<SslContext> make_context(State& state, const TlsServerContext::Options& options, std::size_t index) {
  SslContext made = make_ssl_context(TLS_server_method());
  SSL_CTX* context = made.get();
  if (context == nullptr) return fail(tls_error("starting TLS"));
  if (options.only_tls13) SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION);
  if (SSL_CTX_set_cipher_list(context, kCiphers) != 1 || SSL_CTX_set1_groups_list(context, kGroups) != 1)
    return fail(tls_error("choosing ciphers"));
  // ChaCha first for clients that prefer it: they have no AES in hardware.
  SSL_CTX_set_options(context,
                      SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA | SSL_OP_NO_COMPRESSION);
  // Sessions live in the clients' tickets; the server keeps none.
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_session_id_context(context, reinterpret_cast<const unsigned char*>(kSessionContext.data()),
                                 kSessionContext.size());
  SSL_CTX_set_tlsext_servername_callback(context, choose_certificate);
  SSL_CTX_set_tlsext_servername_arg(context, &state);
  if (!state.protocols.empty()) SSL_CTX_set_alpn_select_cb(context, choose_protocol, &state);
  const std::string place = "certificates[" + std::to_string(index) + "].";
  if (auto used = use_pair(context, options.certificates[index], place); !used) return fail(used.error());
  if (auto asked = ask_clients(context, options); !asked) return fail(asked.error());
  return made;
}

/// Reads for a moment: closing a socket with unread input could destroy the alert before the peer reads it.
Task<Result<void>> linger(ByteStream& transport) {
  co_await transport.shutdown_write();
  std::array<char, 1024> rest;
  for (std::size_t total = 0; total < 64 * 1024;) {
    const auto count = co_await transport.read_some(rest);
    if (!count || *count == 0) break;
    total += *count;
  }
  co_return {};
}

Error refused(Error error) {
  error.code = ErrorCode::kUnauthenticated;
  error.origin = Origin::kClient;
  error.retry = Retry::kNever;
  return error;
}

Task<Result<TlsAccepted>> accept_from(std::shared_ptr<const TlsServerContext> context,
                                      std::unique_ptr<ByteStream> transport) {
  Ssl ssl(SSL_new(context->state().contexts.front().get()));
  if (!ssl) co_return fail(tls_error("starting TLS"));
  SSL_set_accept_state(ssl.get());
  auto stream = std::make_unique<TlsStream>(std::move(ssl), std::move(transport));
  const auto first = co_await stream->receive();
  if (!first) co_return fail(first.error());
  if (*first == 0) co_return fail(ErrorCode::kUnavailable, stream->peer() + " left before the TLS handshake");
  // A TLS handshake record begins with 22, a request's method with a letter.
  if (const char letter = stream->received().front(); letter >= 'A' && letter <= 'Z')
    co_return TlsAccepted{.stream = stream->give_up(), .plain = true};
  if (auto done = co_await stream->handshake(); !done) {
    co_await with_deadline(Deadline::after(kLinger), linger(stream->transport()), "closing");
    co_return fail(refused(std::move(done).error()));
  }
  const unsigned char* protocol = nullptr;
  unsigned int size = 0;
  SSL_get0_alpn_selected(stream->ssl(), &protocol, &size);
  const X509* client = SSL_get0_peer_certificate(stream->ssl());
  if (client != nullptr && SSL_get_verify_result(stream->ssl()) == X509_V_OK)
    stream->set_identity(identity_of(*client), names_of(*client));
  TlsAccepted accepted;
  if (size > 0) accepted.protocol.assign(reinterpret_cast<const char*>(protocol), size);
  accepted.stream = std::move(stream);
  co_return accepted;
}

}  // namespace

TlsServerContext::TlsServerContext(std::unique_ptr<State> state, std::vector<Certificate> certificates)
    : state_(std::move(state)), certificates_(std::move(certificates)) {}
TlsServerContext::~TlsServerContext() = default;

Result<std::shared_ptr<const TlsServerContext>> TlsServerContext::create(const Options& options) {
  if (options.certificates.empty()) return wrong("certificates", "names no certificate");
  auto state = std::make_unique<State>();
  for (const std::string& protocol : options.protocols)
    (state->protocols += static_cast<char>(protocol.size())) += protocol;
  std::vector<Certificate> certificates;
  for (std::size_t i = 0; i < options.certificates.size(); ++i) {
    auto context = make_context(*state, options, i);
    if (!context) return fail(std::move(context).error());
    const X509& leaf = *SSL_CTX_get0_certificate(context->get());
    const CertificateFacts facts = facts_of(leaf);
    for (const std::string& name : facts.names) state->names.add(name, i);
    certificates.push_back({.file = options.certificates[i].certificate_file,
                            .name = facts.names.empty() ? std::string() : facts.names.front(),
                            .serial = facts.serial,
                            .not_before = facts.not_before,
                            .not_after = facts.not_after});
    state->contexts.push_back(std::move(*context));
  }
  return std::shared_ptr<const TlsServerContext>(
      new TlsServerContext(std::move(state), std::move(certificates)));
}

Task<Result<TlsAccepted>> tls_accept(std::shared_ptr<const TlsServerContext> context,
                                     std::unique_ptr<ByteStream> transport, Deadline deadline) {
  co_return co_await with_deadline(deadline, accept_from(std::move(context), std::move(transport)),
                                   "the TLS handshake");
}

}  // namespace autoglm
