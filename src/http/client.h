#pragma once

#include "base/result.h"
#include "http/chunked.h"
#include "http/content_coding.h"
#include "http/head_parser.h"
#include "http/header_lines.h"
#include "http/idle_connections.h"
#include "http/message.h"
#include "http/proxy.h"
#include "http/url.h"
#include "runtime/blocking_pool.h"
#include "runtime/byte_stream.h"
#include "runtime/deadline.h"
#include "runtime/dialer.h"
#include "runtime/tls.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace autoglm::http {

class Client;

/// The headers and the key that all requests to an origin share. Frequent callers make it once: it is most of
/// the cost of a small request.
struct OriginHead {
  /// Connections are shared by this key: the origin, then a space and everything else that they depend on.
  std::string key;
  HeaderLines lines;  ///< Host and similar headers
};

/// An outgoing request. A redirect is returned like any other answer.
struct ClientRequest {
  std::string method = "GET";
  Url url;
  HeaderLines headers;  ///< without an Accept-Encoding here, `identity` is asked for
  std::string body;
  std::string_view borrowed_body;  ///< in place of `body`; must be valid until `Client::send` has returned
  Duration connect_timeout = std::chrono::seconds(5);
  Duration head_timeout = std::chrono::seconds(30);  ///< from the request's end to the answer's head
  Duration read_timeout = std::chrono::seconds(30);  ///< for each read of the body
  /// The age up to which a connection is reused: a new connection goes where the name resolves by then.
  Duration reuse_time = std::chrono::minutes(1);
  std::shared_ptr<const TlsClientContext> tls;  ///< replaces the client's
  std::string tls_name;                         ///< the name expected in the certificate; empty: the host's
  std::optional<Proxy> proxy;                   ///< the proxy for `url`
  std::shared_ptr<Dialer> dialer;  ///< makes the connection, which is never kept; `url`'s host is a name only
  /// Made by `origin_head()`, perhaps with more lines; null: made when the request is sent.
  std::shared_ptr<const OriginHead> origin;

  OriginHead origin_head() const;
  std::string_view content() const { return borrowed_body.empty() ? std::string_view(body) : borrowed_body; }
};

/// An answer whose head has arrived, perhaps before the server had read the whole request, as with a 413 or a
/// 401. Reading the body to its end frees the connection for the next request; destroying the answer earlier
/// closes it. Must not outlive its Client.
class ClientResponse {
 public:
  ~ClientResponse();
  ClientResponse(const ClientResponse&) = delete;
  ClientResponse& operator=(const ClientResponse&) = delete;

  int status() const { return head_.status; }
  const HeaderView& headers() const { return head_.headers; }

  /// Makes `read` return the decoded body, for a server that compresses without being asked. To be called
  /// before any `read`. Errors: kBadGateway for an unknown coding.
  Result<void> unpack();

  /// Appends the next bytes of the body to `out`; 0 at its end. Errors: kBadGateway for a body that breaks
  /// its framing or is cut off, kDeadlineExceeded, kUnavailable.
  Task<Result<std::size_t>> read(std::string& out);
  /// Whether `read` has come to the body's end. It may say so only with its next call.
  bool over() const { return done_ && unpacker_ == nullptr; }
  /// The rest of the body; kPayloadTooLarge above `limit`. `deadline` is for the whole body.
  Task<Result<std::string>> read_all(std::size_t limit, Deadline deadline = Deadline::never());

 private:
  friend class Client;
  ClientResponse(Client& client, std::shared_ptr<const OriginHead> origin, Duration read_timeout);
  Task<Result<std::size_t>> read_bytes(std::string& out);
  Task<Result<std::size_t>> read_unpacked(std::string& out);
  Task<Result<std::size_t>> fill();
  Error cut_off() const;
  void expect_a_stream();
  bool any_byte() const { return interim_ > 0 || !buffer_.empty(); }
  /// The origin that answers, for errors.
  std::string_view origin() const { return std::string_view(origin_->key).substr(0, origin_->key.find(' ')); }

  Client& client_;
  std::shared_ptr<const OriginHead> origin_;
  Duration read_timeout_;
  std::unique_ptr<Connection> connection_;
  ResponseHead head_;
  std::string buffer_;
  std::size_t read_size_ = 2048;  // grows with what arrives at once; most answers are small
  std::size_t max_read_size_ = std::size_t{64} * 1024;
  unsigned full_reads_ = 0;  // in a row
  unsigned interim_ = 0;     // number of interim answers
  bool asked_whole_ = true;  // the whole request has been sent
  std::uint64_t left_ = 0;   // of a body with a length
  ChunkedDecoder chunks_;
  std::size_t read_at_once_ = 0;  // since the loop last ran other tasks
  bool done_ = false;
  std::unique_ptr<Decoder> unpacker_;  // null: the body is not compressed
  std::string packed_;                 // read; behind `unpacked_` bytes not yet decompressed
  std::size_t unpacked_ = 0;
};

/// An HTTP/1.1 client with a pool of idle connections per origin. One for each loop; loop thread only. A GET
/// whose idle connection turns out closed before any byte of an answer is sent once more on a new connection.
/// No other request is: the server may have read it, and died of it. The caller decides.
class Client {
 public:
  struct Limits {
    HeadLimits head;
    std::size_t idle_per_origin = 32;
    Duration idle_time = std::chrono::seconds(30);
  };

  /// `tls` may be null when no https URL is requested.
  Client(BlockingPool& pool, std::shared_ptr<const TlsClientContext> tls, Limits limits);
  Client(BlockingPool& pool, std::shared_ptr<const TlsClientContext> tls)
      : Client(pool, std::move(tls), Limits()) {}

  /// Errors: kUnavailable, kDeadlineExceeded, kBadGateway, all with origin kEndpoint; the reason is
  /// "connect_failed" when no connection could be made, "connection_lost" when it ended without a byte. With
  /// origin kLocal: this process lacks a resource, such as sockets, or threads for DNS.
  Task<Result<std::unique_ptr<ClientResponse>>> send(ClientRequest request);

  /// Whether a connection can be made, including the TLS handshake.
  Task<Result<void>> probe(ClientRequest request);

  std::size_t idle_connections() const { return idle_.size(); }

 private:
  friend class ClientResponse;

  Task<Result<std::unique_ptr<ClientResponse>>> exchange(const ClientRequest& request,
                                                         std::unique_ptr<Connection> connection,
                                                         bool& any_byte);
  // Most bodies are small, and most answers come after the whole request: inlined, this frame would be part
  // of every request's.
  [[gnu::noinline]] Task<Result<void>> send_and_listen(const ClientRequest& request, std::string_view head,
                                                       ClientResponse& response, HeadScanner& scanner);
  Result<bool> take_head(const ClientRequest& request, HeadScanner& scanner, ClientResponse& response) const;
  Result<bool> take_one_head(const ClientRequest& request, HeadScanner& scanner,
                             ClientResponse& response) const;
  // Most requests find an idle connection: inlined, this frame would be part of every request's.
  [[gnu::noinline]] Task<Result<std::unique_ptr<ByteStream>>> connect(const ClientRequest& request);

  BlockingPool& pool_;
  std::shared_ptr<const TlsClientContext> tls_;
  Limits limits_;
  IdleConnections idle_;
};

}  // namespace autoglm::http
