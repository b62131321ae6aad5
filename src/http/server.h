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
  std::size_t pipelined_bytes = 1024 * 1024;  ///< read ahead while an answer is being made
  std::size_t connections = 10'000;           ///< of this loop; further ones are told 503
  std::size_t reserve = 0;  ///< descriptors that are kept for connections when the process has no others left
  Duration header_time = std::chrono::seconds(15);  ///< from a request's first byte to the end of its head;
                                                    ///< and for a TLS handshake
  Duration body_time = std::chrono::seconds(60);
  Duration idle_time = std::chrono::seconds(75);    ///< between requests
  Duration write_stall = std::chrono::seconds(30);  ///< that a peer may take nothing of what is sent
  std::uint32_t http2_streams = 128;                ///< requests of one HTTP/2 connection at a time
  std::size_t compress_above = 0;  ///< bytes of a whole answer, for who accepts it packed; 0: never
  // What all servers of a process share; null: without bound.
  std::shared_ptr<BodyMemory> body_memory;
  std::shared_ptr<BodyMemory> answer_memory;
  std::shared_ptr<ConnectionCounts> clients;
};

using HeaderField = std::pair<std::string_view, std::string_view>;

/// How a handler answers: once, with `send`, or as a stream, with `start`, `write` …, `finish`. Every
/// call waits until the connection has taken the bytes (that is the back-pressure). An error means
/// that the connection is gone; the handler just returns.
class ResponseWriter {
 public:
  virtual ~ResponseWriter() = default;

  virtual Task<Result<void>> send(int status, std::string_view content_type, std::string_view body) = 0;
  virtual Task<Result<void>> start(int status, std::string_view content_type) = 0;
  virtual Task<Result<void>> write(std::string_view bytes) = 0;
  virtual Task<Result<void>> finish() = 0;

  /// A further header of the answer; before `send` or `start`. Name and value are copied.
  virtual void add_header(std::string_view name, std::string_view value) = 0;
  virtual bool started() const = 0;
  virtual std::uint64_t bytes_sent() const = 0;
};

/// What a server does with requests: each gets one answer, whole or as a stream, and a HEAD what a GET gets,
/// less the body, which the connection leaves out. A request comes whole, its body read. One object serves
/// all connections of all loops.
class Handler {
 public:
  virtual ~Handler() = default;

  /// Destroyed at once when the client goes away, wherever it waits, and with it all that was done for that
  /// client. `request` and `response` outlive it. Exceptions that leave it are answered with 500.
  virtual Task<void> handle(Request& request, ResponseWriter& response) = 0;

  /// The body, and its type, for a request that could not be read at all; counted and logged here.
  virtual std::pair<std::string, std::string_view> refused(const Refusal& refusal,
                                                           const std::string& peer) = 0;

  /// A connection that never came to a request: kUnavailable when the client just left.
  virtual void handshake_failed(const Error& /*error*/, const std::string& /*peer*/) {}

  /// A connection has to wait, since this process can open nothing more.
  virtual void cannot_accept(const Error& /*error*/) {}
};

/// An HTTP server on one listener of one loop. HTTP/1.1: keep-alive, pipelining, chunked bodies,
/// `Expect: 100-continue`. HTTP/2 where TLS's ALPN says so, and where a client just begins with it ("prior
/// knowledge"). Limits in bytes and time. While a handler runs the connection watches for the peer's end,
/// half-closed included, as nginx does, and for the reset of its stream, and destroys the handler's task
/// then. Loop thread only; its destructor ends every connection.
class Server {
 public:
  Server(std::unique_ptr<Listener> listener, const ServerLimits& limits, Handler& handler);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  /// Connections that come from now on speak TLS; those that are there keep what they have. Null: plain.
  void use_tls(std::shared_ptr<const TlsServerContext> tls) { tls_ = std::move(tls); }
  void start();
  /// Idle connections that have been served close; others close after their next answer. New ones are still
  /// accepted, so that the handler can say that it is leaving.
  void drain();
  void stop_accepting();
  /// Until the last connection has ended.
  Task<void> drained() { return connections_.join(); }

  struct Counts {
    std::size_t open_connections = 0;
    std::size_t busy_connections = 0;  ///< of these: with a request under way
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
  // A handshake's frame goes with it.
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
  std::unordered_set<Connection*> open_;  // they register themselves
  Scope connections_;                     // last: its tasks use all of the above
};

}  // namespace autoglm::http
