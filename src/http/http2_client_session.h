#pragma once

#include "base/error.h"
#include "http/http2_client.h"
#include "runtime/signal.h"

#include <nghttp2/nghttp2.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

/// The state of an Http2Client, without its socket; for sources of this room only, since it names nghttp2.
namespace autoglm::http {

/// One call. Shared by the session, until the stream is closed, and the Http2Call.
struct Http2CallState {
  std::int32_t id = 0;

  int status = 0;  // 0: the head has not arrived
  Fields headers;
  Fields trailers;
  std::size_t head_bytes = 0;
  unsigned interim = 0;
  std::string body;    // arrived, unread
  bool ended = false;  // the answer is complete
  bool closed = false;
  bool abandoned = false;  // nobody reads it
  std::optional<Error> error;
  Signal arrived;

  std::string unsent;
  std::size_t sent = 0;  // of `unsent`
  bool last = false;     // nothing follows `unsent`
  bool deferred = false;
  Signal taken;
};

class Http2ClientSession {
 public:
  explicit Http2ClientSession(const Http2Client::Limits& limits);
  ~Http2ClientSession() { nghttp2_session_del(session_); }
  Http2ClientSession(const Http2ClientSession&) = delete;
  Http2ClientSession& operator=(const Http2ClientSession&) = delete;

  /// Bytes from the server. False: the session is beyond repair.
  bool receive(std::string_view bytes);
  /// Appends bytes to send. False: the session is beyond repair.
  bool transmit(std::string& out, std::size_t enough);
  /// Whether nothing more is to be read or sent.
  bool over() const {
    return nghttp2_session_want_read(session_) == 0 && nghttp2_session_want_write(session_) == 0;
  }

  std::shared_ptr<Http2CallState> begin(const Http2Head& head, bool whole);
  void send(Http2CallState& call, std::string_view bytes, bool last);
  /// Moves what has arrived to the end of `out`.
  void take(Http2CallState& call, std::string& out);
  void abandon(Http2CallState& call);
  std::uint64_t ping();

  /// Fails all calls; nothing can be done with the session afterwards.
  void end(Error why);
  const std::optional<Error>& why() const { return why_; }
  bool usable() const { return !why_ && !leaving_ && nghttp2_session_check_request_allowed(session_) != 0; }
  std::size_t calls() const { return calls_.size(); }
  std::size_t most_calls() const {
    return nghttp2_session_get_remote_settings(session_, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
  }

  Signal wanted;  ///< there may be something to send
  Signal over_signal;
  std::uint64_t pings_answered = 0;
  Signal pong;

 private:
  struct Callbacks;

  Http2CallState* find(std::int32_t id);
  int take_field(Http2CallState& call, std::string_view name, std::string_view value);
  void finish_head(Http2CallState& call);
  void break_off(Http2CallState& call, std::string_view why);
  void close(std::int32_t id, std::uint32_t code);

  const Http2Client::Limits limits_;
  nghttp2_session* session_ = nullptr;
  std::unordered_map<std::int32_t, std::shared_ptr<Http2CallState>> calls_;
  std::optional<Error> why_;
  bool leaving_ = false;  // the server takes no more calls
  std::string broken_;    // how the server has broken the protocol, as we told it
  std::string goodbye_;   // what it said of that
  std::uint64_t pings_ = 0;
};

}  // namespace autoglm::http
