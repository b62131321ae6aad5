#pragma once

#include "http/head_parser.h"
#include "http/message.h"
#include "http/shared_limits.h"
#include "runtime/descriptor_reserve.h"
#include "runtime/scope.h"
#include "runtime/socket.h"
#include "runtime/task.h"
#include "runtime/tls_server.h"

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>

namespace autoglm::http {

struct ServerLimits {
  HeadLimits head;
  std::size_t body_bytes = 16 * 1024 * 1024;
  std::size_t pipelined_bytes = 1024 * 1024;  ///< bytes read ahead while an answer is being made
  std::size_t connections = 10'000;           ///< of this loop; more get a 503, or with TLS no answer
  std::size_t reserve = 0;  ///< descriptors kept for connections when the process runs out of others
  Duration header_time = std::chrono::seconds(15);  ///< from a request's first byte to the end of its head;
                                                    ///< also the limit of a TLS handshake
  Duration body_time = std::chrono::seconds(60);
  Duration idle_time = std::chrono::seconds(75);    ///< between requests
  Duration write_stall = std::chrono::seconds(30);  ///< how long a peer may take none of what is sent
  std::uint32_t http2_streams = 128;                ///< concurrent requests of one HTTP/2 connection
  std::size_t compress_above = 0;  ///< size from which whole answers are compressed, if the client accepts
                                   ///< it; 0: never
  // Shared by all servers of a process; null: unlimited.
  std::shared_ptr<BodyMemory> body_memory;
  std::shared_ptr<BodyMemory> answer_memory;
  std::shared_ptr<ConnectionCounts> clients;
};

using HeaderField = std::pair<std::string_view, std::string_view>;

/// How a handler answers: once, with `send`, or as a stream, with `start`, `write` …, `finish`. Every call
/// waits until the connection has taken the bytes (this is the back-pressure). An error means that the
/// connection is gone; the handler then just returns.
class ResponseWriter {
 public:
  virtual ~ResponseWriter() = default;

  virtual Task<Result<void>> send(int status, std::string_view content_type, std::string_view body) = 0;
  virtual Task<Result<void>> start(int status, std::string_view content_type) = 0;
  virtual Task<Result<void>> write(std::string_view bytes) = 0;
  virtual Task<Result<void>> finish() = 0;
  /// The last part of a stream, and its end.
  virtual Task<Result<void>> finish_with(std::string_view bytes) {
    if (auto written = co_await write(bytes); !written) co_return written;
    co_return co_await finish();
  }

  /// Adds a header to the answer; to be called before `send` or `start`. Name and value are copied.
  virtual void add_header(std::string_view name, std::string_view value) = 0;
  /// Adds a field that follows the body of a stream; to be called before `finish`. Copied. HTTP/1.1 leaves
  /// them out: no client of ours there asks for them.
  virtual void add_trailer(std::string_view /*name*/, std::string_view /*value*/) {}
  virtual bool started() const = 0;
  virtual std::uint64_t bytes_sent() const = 0;
};

/// Answers a server's requests: each gets one answer, whole or as a stream. A HEAD is answered like a GET;
/// the connection leaves out the body. A request is passed on once its body is complete, unless its handler
/// reads it in pieces. One object serves all connections of all loops.
class Handler {
 public:
  virtual ~Handler() = default;

  /// Its task is destroyed at once when the client goes away, wherever it waits, and with it all work for
  /// that client. `request` and `response` outlive it. An exception that leaves it is answered with 500.
  virtual Task<void> handle(Request& request, ResponseWriter& response) = 0;

  /// Whether `request`, of which only the head has been read, is to be handled when its body begins, and not
  /// when it is complete: `Request::arriving` then gives the body, for which `ServerLimits::body_time` is no
  /// bound; where it has not begun by then, it is handled all the same. Asked for HTTP/2 only.
  virtual bool reads_pieces(const Request& /*request*/) { return false; }

  /// The body and its type for a request that could not be read at all; counts and logs the refusal.
  virtual std::pair<std::string, std::string_view> refused(const Refusal& refusal,
                                                           const std::string& peer) = 0;

  /// Reports a connection that never came to a request: kUnavailable when the client just left.
  virtual void handshake_failed(const Error& /*error*/, const std::string& /*peer*/) {}

  /// Reports that a connection has to wait because this process can open no more descriptors.
  virtual void cannot_accept(const Error& /*error*/) {}
};

/// An HTTP server on one listener of one loop. HTTP/1.1: keep-alive, pipelining, chunked bodies, `Expect:
/// 100-continue`. HTTP/2 where TLS's ALPN selects it, and where a client begins with it ("prior knowledge").
/// Limits in bytes and time. While a handler runs, the connection watches for the peer's end (half-closed
/// included, as nginx does) and for the reset of its stream, and then destroys the handler's task. Loop
/// thread only; its destructor ends every connection.
class Server {
 public:
  Server(std::unique_ptr<Listener> listener, const ServerLimits& limits, Handler& handler);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  /// New connections speak TLS from now on; existing ones stay as they are. Null: plain.
  void use_tls(std::shared_ptr<const TlsServerContext> tls) { tls_ = std::move(tls); }
  void start();
  /// Closes idle connections that have served a request; others close after their next answer. New
  /// connections are still accepted, so that the handler can say that the server is leaving.
  void drain();
  void stop_accepting();
  /// Waits until the last connection has ended.
  Task<void> drained() { return connections_.join(); }

  struct Counts {
    std::size_t open_connections = 0;
    std::size_t busy_connections = 0;  ///< open connections with a request in flight
    std::uint64_t connections = 0;
    std::uint64_t requests = 0;
    std::uint64_t refused = 0;  ///< connections above the limit, requests that could not be read, handshakes
  };
  Counts counts() const;
  std::uint16_t port() const { return port_; }

 private:
  class Connection;
  class Http1Connection;
  class Http2Connection;
  Task<void> accept_all();
  Task<void> serve(std::unique_ptr<ByteStream> stream);
  Task<void> serve_from_reserve(std::unique_ptr<ByteStream> stream);
  // The handshake's frame is freed with it.
  [[gnu::noinline]] Task<std::unique_ptr<ByteStream>> secure(std::unique_ptr<ByteStream> stream, bool& http2);
  /// `begun`: what has been read already.
  [[gnu::noinline]] Task<void> serve_http2(std::unique_ptr<ByteStream> stream, std::string begun);
  [[gnu::noinline]] Task<void> turn_away(std::unique_ptr<ByteStream> stream, Refusal refusal);

  std::unique_ptr<Listener> listener_;
  std::uint16_t port_;
  ServerLimits limits_;
  Handler& handler_;
  std::shared_ptr<const TlsServerContext> tls_;
  bool draining_ = false;
  DescriptorReserve reserve_;
  Counts counts_;
  Scope accepting_;
  std::unordered_set<Connection*> open_;  // connections register themselves
  Scope connections_;                     // last: its tasks use all of the above
};

}  // namespace autoglm::http
