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
#include <utility>
#include <vector>

namespace autoglm::http {

class Client;

/// What every request to an origin says and needs. Who sends many makes it once: it is most of a small one.
struct OriginHead {
  /// What connections are shared by: the origin, and behind a space what else they depend on.
  std::string key;
  HeaderLines lines;  ///< Host and the like
};

/// A request to somebody else. Redirects are answers like others.
struct ClientRequest {
  std::string method = "GET";
  Url url;
  HeaderLines headers;  ///< unless it has an Accept-Encoding of its own, it asks for `identity`
  std::string body;
  Duration connect_timeout = std::chrono::seconds(5);
  Duration head_timeout = std::chrono::seconds(30);  ///< from the request's end to the answer's head
  Duration read_timeout = std::chrono::seconds(30);  ///< for each read of the body
  /// How old a connection may be that is used once more: a new one goes where the name points by then.
  Duration reuse_time = std::chrono::minutes(1);
  std::shared_ptr<const TlsClientContext> tls;  ///< in the place of the client's
  std::string tls_name;                         ///< whose certificate is expected; empty: the host's
  std::optional<Proxy> proxy;                   ///< of `url`
  std::shared_ptr<Dialer> dialer;  ///< makes the connection, which is never kept; `url`'s host is a name only
  /// Its `origin_head()`, perhaps with more lines; null: made when it is sent.
  std::shared_ptr<const OriginHead> origin;

  OriginHead origin_head() const;
};

/// An answer whose head has arrived; perhaps before the request was read, as a 413 or a 401 may. Read the
/// body to its end and the connection serves the next request; destroy it before, and the connection closes.
/// Must not outlive its Client.
class ClientResponse {
 public:
  ~ClientResponse();
  ClientResponse(const ClientResponse&) = delete;
  ClientResponse& operator=(const ClientResponse&) = delete;

  int status() const { return head_.status; }
  const HeaderView& headers() const { return head_.headers; }

  /// From here on `read` gives what is packed in the body, whoever packed it though nobody asked for that.
  /// Before any `read`. Errors: kBadGateway for a coding that is unknown here.
  Result<void> unpack();

  /// The next bytes of the body, appended to `out`; 0 at its end. Errors: kBadGateway for a body that
  /// breaks its framing or is cut off, kDeadlineExceeded, kUnavailable.
  Task<Result<std::size_t>> read(std::string& out);
  /// The rest of the body; kPayloadTooLarge above `limit`. `deadline` is that of all of it.
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
  /// Who answers, for errors.
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
  unsigned interim_ = 0;     // answers that were none yet
  bool asked_whole_ = true;  // the request has been sent to its end
  std::uint64_t left_ = 0;   // of a body with a length
  ChunkedDecoder chunks_;
  std::size_t read_at_once_ = 0;  // since others had the loop
  bool done_ = false;
  std::unique_ptr<Decoder> unpacker_;  // null: the bytes are what they are
  std::string packed_;                 // behind `unpacked_` bytes: not unpacked yet
  std::size_t unpacked_ = 0;
};

/// An HTTP/1.1 client with a pool of kept connections an origin. One for each loop; loop thread only.
/// A GET that finds its kept connection closed before any byte of an answer came is sent once more on a new
/// one. Nothing else is: the other side may have read it, and died of it. Who asked decides.
class Client {
 public:
  struct Limits {
    HeadLimits head;
    std::size_t idle_per_origin = 32;
    Duration idle_time = std::chrono::seconds(30);
  };

  /// `tls` may be null when no https address will be asked.
  Client(BlockingPool& pool, std::shared_ptr<const TlsClientContext> tls, Limits limits);
  Client(BlockingPool& pool, std::shared_ptr<const TlsClientContext> tls)
      : Client(pool, std::move(tls), Limits()) {}

  /// Errors: kUnavailable, kDeadlineExceeded, kBadGateway, all with origin kEndpoint; the reason
  /// "connect_failed" where there was not even a connection, "connection_lost" where it ended without a byte.
  /// With origin kLocal: what this process has too little of, such as sockets, or threads for DNS.
  Task<Result<std::unique_ptr<ClientResponse>>> send(ClientRequest request);

  /// Whether a connection can be made; the handshake of TLS is part of it.
  Task<Result<void>> probe(ClientRequest request);

  std::size_t idle_connections() const { return idle_.size(); }

 private:
  friend class ClientResponse;

  Task<Result<std::unique_ptr<ClientResponse>>> exchange(const ClientRequest& request,
                                                         std::unique_ptr<Connection> connection,
                                                         bool& any_byte);
  // Most bodies are small, and most answers wait for the request: inlined, their frames would be a part of
  // every request's.
  [[gnu::noinline]] Task<Result<void>> send_and_listen(const ClientRequest& request, std::string_view head,
                                                       ClientResponse& response, HeadScanner& scanner);
  Result<bool> take_head(const ClientRequest& request, HeadScanner& scanner, ClientResponse& response) const;
  Result<bool> take_one_head(const ClientRequest& request, HeadScanner& scanner,
                             ClientResponse& response) const;
  // Most find a kept connection: inlined, its frame would be a part of every request's.
  [[gnu::noinline]] Task<Result<std::unique_ptr<ByteStream>>> connect(const ClientRequest& request);

  BlockingPool& pool_;
  std::shared_ptr<const TlsClientContext> tls_;
  Limits limits_;
  IdleConnections idle_;
};

}  // namespace autoglm::http
