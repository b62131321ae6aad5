#pragma once

#include "base/result.h"
#include "runtime/blocking_pool.h"
#include "runtime/byte_stream.h"
#include "runtime/deadline.h"
#include "runtime/scope.h"
#include "runtime/signal.h"
#include "runtime/socket.h"
#include "runtime/tls.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace autoglm::http {

using Fields = std::vector<std::pair<std::string, std::string>>;

/// The reason of an error when the server has certainly not acted on a call: it may be made again elsewhere.
inline constexpr std::string_view kCallRefused = "call_refused";

/// The reason of an error when the server does not keep to HTTP/2.
inline constexpr std::string_view kBrokenHttp2 = "broken_http2";

class Http2ClientSession;
struct Http2CallState;

/// A call's head as HTTP/2 sends it. Names of headers in lower case.
struct Http2Head {
  std::string method = "POST";
  std::string scheme = "http";
  std::string authority;
  std::string path;
  Fields headers = {};
};

/// A request and its answer, both of which may be streams, at the same time. Destroying it resets the stream
/// unless both have ended. It may outlive its connection: then it has failed. One reader and one writer; loop
/// thread only. Errors, all with origin kEndpoint: kUnavailable when the server has reset the stream or the
/// connection is lost, with the reason kCallRefused where that is so; kBadGateway for a broken answer, with
/// the reason kBrokenHttp2 where the server breaks the protocol.
class Http2Call {
 public:
  ~Http2Call();
  Http2Call(const Http2Call&) = delete;
  Http2Call& operator=(const Http2Call&) = delete;

  /// Sends a part of the body, and waits for as long as the server takes too little of what was sent before.
  /// Destroying the task loses nothing of what it has taken. An answer that ends earlier than the request is
  /// no error here; the rest is dropped, and the stream reset.
  Task<Result<void>> write(std::string_view bytes, bool last = false);
  /// Waits for the head of the answer.
  Task<Result<void>> answered();
  /// Appends what has arrived of the answer's body to `out`, waiting for at least a byte; 0 at its end. What
  /// is not read is held back in the server by flow control.
  Task<Result<std::size_t>> read(std::string& out);

  /// Of the answer, valid once `answered` has succeeded.
  int status() const;
  const Fields& headers() const;
  /// Valid once `read` has returned 0.
  const Fields& trailers() const;

 private:
  friend class Http2Client;
  Http2Call(std::shared_ptr<Http2ClientSession> session, std::shared_ptr<Http2CallState> state)
      : session_(std::move(session)), state_(std::move(state)) {}

  std::shared_ptr<Http2ClientSession> session_;
  std::shared_ptr<Http2CallState> state_;
};

/// The client's end of an HTTP/2 connection (RFC 9113): many calls at the same time, with nghttp2. It is busy
/// with the connection by itself for as long as it lives: answers pings, keeps to the windows, ends with the
/// server's GOAWAY when the last call has ended. What a server can make it hold is bounded: heads by
/// `head_bytes`, bodies by the window of each call. One loop's thread only. Its destructor fails all calls.
class Http2Client {
 public:
  struct Limits {
    std::size_t head_bytes = std::size_t{64} << 10U;        ///< of an answer's head, and of its trailers
    std::uint32_t call_window = std::uint32_t{256} << 10U;  ///< unread bytes of each answer
    Duration write_stall = std::chrono::seconds(30);        ///< how long the server may take nothing we send
  };
  struct Target {
    HostPort host;
    std::shared_ptr<const TlsClientContext> tls = nullptr;  ///< null: plain, HTTP/2 from the first byte
    std::string tls_name = {};  ///< expected in the certificate; empty: the host's
  };

  /// Over `stream`, on which nothing has been said yet.
  Http2Client(std::unique_ptr<ByteStream> stream, Limits limits);
  ~Http2Client();
  Http2Client(const Http2Client&) = delete;
  Http2Client& operator=(const Http2Client&) = delete;

  /// A connection to `target`; with TLS the server must choose "h2". `names` looks up the host. Errors:
  /// kUnavailable, kDeadlineExceeded, with the reason "connect_failed".
  static Task<Result<std::unique_ptr<Http2Client>>> connect(BlockingPool& names, Target target,
                                                            Deadline deadline, Limits limits);

  /// Begins a call; with `whole` it has no body. It is sent when the server has room for it. Errors:
  /// kUnavailable with the reason kCallRefused.
  Result<std::unique_ptr<Http2Call>> call(const Http2Head& head, bool whole = false);
  /// Whether further calls may begin.
  bool usable() const;
  /// Calls that have not ended, and how many the server takes at the same time.
  std::size_t calls() const;
  std::size_t most_calls() const;
  /// Waits for the server's answer to a ping. Errors: kDeadlineExceeded, kUnavailable.
  Task<Result<void>> ping(Deadline deadline);
  /// Waits until the connection has ended, and says why.
  Task<Error> ended();

 private:
  Task<void> run();
  Task<Error> receive();
  Task<Error> transmit();

  const Limits limits_;
  std::unique_ptr<ByteStream> stream_;
  std::shared_ptr<Http2ClientSession> session_;
  Scope scope_;  // last: its task uses the above
};

}  // namespace autoglm::http
