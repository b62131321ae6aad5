#pragma once

#include "base/clock.h"
#include "http/head_parser.h"
#include "http/message.h"
#include "http/server.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

struct nghttp2_session;

namespace autoglm::http {

/// One request of an HTTP/2 connection and the state of its answer. The session owns it, and destroys it when
/// the peer has reset the stream, or when the peer has the whole answer and this is `done`. None of its
/// functions may call `receive`, `transmit` or `expire`.
class Http2Stream {
 public:
  virtual ~Http2Stream() = default;

  /// Called when `request` is complete.
  virtual void answer() = 0;
  /// Whether the body is to be read while it arrives. Asked when the head is complete; if so, `answer` is
  /// called with the body's first bytes, its end, or when none has come for `body_time`, and `arrived` each
  /// time that there is more in `request.body`, with the body's end, and when it is lost.
  virtual bool reads_pieces() { return false; }
  virtual void arrived() {}
  /// Called when the request cannot be accepted; answers with `refusal`.
  virtual void refuse(Refusal refusal) = 0;
  /// All supplied bytes have been taken, or the peer has taken nothing for `write_stall` (`stalled`).
  virtual void supplied(bool stalled) = 0;
  /// Whether no task of it runs any more.
  virtual bool done() const = 0;

  Request request;
  BodyMemory::Share body_share;  ///< covers `request.body`, and what is kept of it
  std::vector<std::pair<std::string, std::string>>
      trailers;  ///< follow the answer's body; names in lower case

  /// The request has arrived whole.
  bool whole() const { return whole_; }
  /// There was no memory for a part of a body that is read in pieces.
  bool lost() const { return lost_; }

 private:
  friend class Http2Session;

  std::int32_t id_ = 0;
  bool whole_ = false;
  bool pieces_ = false;  // the body is read while it arrives
  bool begun_ = false;   // its handler has been called
  bool unread_ = false;  // nobody will read more of it
  bool lost_ = false;
  std::size_t kept_ = 0;  // of what has been read
  bool refused_ = false;  // the rest of the request is dropped
  std::size_t fields_ = 0;
  std::size_t head_bytes_ = 0;                                    // as HTTP/2 counts: 32 more for each field
  std::vector<std::pair<std::uint32_t, std::uint32_t>> lengths_;  // of names and values in `request.head`

  std::string_view unsent_;
  bool last_ = false;      // nothing follows `unsent_`
  bool deferred_ = false;  // nghttp2 waits for more of `unsent_`
  MonotonicTime deadline_ = MonotonicTime::max();
};

/// The server's end of one HTTP/2 connection (RFC 9113), without a socket: bytes in, requests out; answers
/// in, bytes out. nghttp2 does the frames, the header compression and the flow control; this class enforces
/// the limits: what a peer can make the server hold or do is bounded by `ServerLimits`, and floods (resets,
/// pings, settings, continuations, headers that decompress to much) end the connection with GOAWAY. Not
/// thread-safe.
class Http2Session {
 public:
  using MakeStream = std::move_only_function<std::unique_ptr<Http2Stream>()>;

  /// `limits` must outlive the session.
  Http2Session(const ServerLimits& limits, MakeStream make_stream);
  ~Http2Session();
  Http2Session(const Http2Session&) = delete;
  Http2Session& operator=(const Http2Session&) = delete;

  /// Takes the next bytes from the peer. False when the connection must end without a GOAWAY: the session is
  /// beyond repair, or the peer does not read the replies it provokes.
  bool receive(std::string_view bytes);
  /// Appends bytes to send until `out` has `enough`. False when the session is beyond repair.
  bool transmit(std::string& out, std::size_t enough);
  /// Whether nothing more is to be read or sent.
  bool ended() const;

  /// Begins an answer. Names are in lower case; `:status` comes first. Without `has_body` it also ends here.
  void respond(Http2Stream& stream, std::span<const HeaderField> fields, bool has_body);
  /// The next part of the body. `bytes` must stay valid until `supplied`, or `withdraw`.
  void supply(Http2Stream& stream, std::string_view bytes, bool last);
  static void withdraw(Http2Stream& stream) { stream.unsent_ = {}; }

  /// Moves what has arrived of a body that is read in pieces to the end of `to`; the peer may send as much
  /// again.
  void take(Http2Stream& stream, std::string& to);
  /// Whether `bytes` of it may be kept outside of `request.body`; if so, they are counted.
  static bool keep(Http2Stream& stream, std::size_t bytes);
  /// Drops the rest of such a body.
  void stop_reading(Http2Stream& stream);

  /// Resets a stream whose answer cannot be finished.
  void reset(Http2Stream& stream);

  /// Tells the peer to begin no more requests and to leave when all are answered. False: already told.
  bool drain();
  /// Destroys all requests, since no peer is left to answer. Do not receive or transmit afterwards.
  void abandon() {
    streams_.clear();
    answered_.clear();
  }

  /// The earliest time at which `expire` may have something to do.
  MonotonicTime next_expiry() const { return next_expiry_; }
  /// Acts on timeouts: of heads, of bodies, of answers that the peer does not take, and of idle connections.
  void expire(MonotonicTime now);

  /// Requests in flight.
  std::size_t streams() const { return streams_.size() + answered_.size(); }
  /// Whether some requests have sent their answer but are not `done`.
  bool finishing() const { return !answered_.empty(); }
  bool served() const { return served_; }

 private:
  struct Callbacks;  // nghttp2's

  void open(std::int32_t id);
  int take_field(Http2Stream& stream, std::string_view name, std::string_view value);
  void take_body(Http2Stream& stream, std::string_view bytes);
  void take_piece(Http2Stream& stream, std::string_view bytes);
  static void tell(Http2Stream& stream);
  static bool cover(Http2Stream& stream);
  void send_trailers(const Http2Stream& stream);
  void finish_head(Http2Stream& stream, bool whole);
  void finish(Http2Stream& stream);
  void refuse(Http2Stream& stream, Refusal refusal);
  void close(std::int32_t id, bool broken);
  bool may_break(MonotonicTime now);
  /// Whether the peer's flow-control window is used up, so that nothing may be sent (RFC 9113 5.2).
  bool waits_for_peer(std::int32_t id) const;
  void wait_until(Http2Stream& stream, MonotonicTime deadline);
  void terminate(std::uint32_t code);

  const ServerLimits& limits_;
  MakeStream make_stream_;
  nghttp2_session* session_ = nullptr;
  std::unordered_map<std::int32_t, std::unique_ptr<Http2Stream>> streams_;
  std::vector<std::unique_ptr<Http2Stream>> answered_;  // answered completely, but not `done`
  bool served_ = false;
  bool draining_ = false;
  double breaks_ = 0;  // broken-off requests, reduced over time
  MonotonicTime broke_at_;
  MonotonicTime idle_since_;
  std::int32_t head_of_ = 0;                         // the stream with the latest head
  MonotonicTime head_since_ = MonotonicTime::max();  // when that head began; max() once it is complete
  MonotonicTime next_expiry_ = MonotonicTime::max();
};

}  // namespace autoglm::http
