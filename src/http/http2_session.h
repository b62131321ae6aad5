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

/// One request of an HTTP/2 connection, and what is there of its answer. The session owns it, and destroys it
/// when the peer has reset it, or has its whole answer and this is `done`. None of its functions may call
/// `receive`, `transmit` or `expire`.
class Http2Stream {
 public:
  virtual ~Http2Stream() = default;

  /// `request` is whole.
  virtual void answer() = 0;
  /// It cannot be taken; to be answered so.
  virtual void refuse(Refusal refusal) = 0;
  /// Of what was supplied nothing is left, or the peer has taken nothing for `write_stall` (`stalled`).
  virtual void supplied(bool stalled) = 0;
  /// Whether nothing of it runs any more.
  virtual bool done() const = 0;

  Request request;
  BodyMemory::Share body_share;  ///< of `request.body`

 private:
  friend class Http2Session;

  std::int32_t id_ = 0;
  bool whole_ = false;    // the request
  bool refused_ = false;  // so that what else comes of it is dropped
  std::size_t fields_ = 0;
  std::size_t head_bytes_ = 0;                                    // as HTTP/2 counts: 32 more for each field
  std::vector<std::pair<std::uint32_t, std::uint32_t>> lengths_;  // of names and values in `request.head`

  std::string_view unsent_;
  bool last_ = false;      // nothing follows `unsent_`
  bool deferred_ = false;  // the library waits for more of it
  MonotonicTime deadline_ = MonotonicTime::max();
};

/// What is said over one HTTP/2 connection (RFC 9113), at the server's end and without a socket: bytes in,
/// requests out; answers in, bytes out. nghttp2 has the frames, the header compression and the flow control;
/// this class has the limits: what a peer can make us hold or do is bounded by `ServerLimits`, and floods
/// (resets, pings, settings, continuations, headers that unpack to much) end the connection with GOAWAY. Not
/// thread-safe.
class Http2Session {
 public:
  using MakeStream = std::move_only_function<std::unique_ptr<Http2Stream>()>;

  /// `limits` must outlive it.
  Http2Session(const ServerLimits& limits, MakeStream make_stream);
  ~Http2Session();
  Http2Session(const Http2Session&) = delete;
  Http2Session& operator=(const Http2Session&) = delete;

  /// What the peer has sent next. False when the connection cannot be followed any further, and not even be
  /// told so; or the peer takes nothing of what it makes us say.
  bool receive(std::string_view bytes);
  /// Appends what is to be sent, until `out` has `enough` bytes. False when that cannot go on.
  bool transmit(std::string& out, std::size_t enough);
  /// Nothing more is to be read or sent.
  bool ended() const;

  /// Begins an answer. Names are in lower case; `:status` is the first. Without `has_body` it ends so.
  void respond(Http2Stream& stream, std::span<const HeaderField> fields, bool has_body);
  /// The next part of its body, which must stay where it is until `supplied`, or `withdraw`.
  void supply(Http2Stream& stream, std::string_view bytes, bool last);
  static void withdraw(Http2Stream& stream) { stream.unsent_ = {}; }
  /// Cuts an answer that cannot be finished.
  void reset(Http2Stream& stream);

  /// Tells the peer to begin nothing more here, and to leave when all is answered. False: it has been told.
  bool drain();
  /// Ends all requests: nobody is there to be answered. Nothing is received or transmitted after it.
  void abandon() {
    streams_.clear();
    answered_.clear();
  }

  /// Not before this there is something for `expire` to do.
  MonotonicTime next_expiry() const { return next_expiry_; }
  /// Acts on what has waited for too long: heads, bodies, answers that nobody takes, and idleness.
  void expire(MonotonicTime now);

  /// Requests under way.
  std::size_t streams() const { return streams_.size() + answered_.size(); }
  /// Some have their answer, and are not done.
  bool finishing() const { return !answered_.empty(); }
  bool served() const { return served_; }

 private:
  struct Callbacks;  // of nghttp2

  void open(std::int32_t id);
  int take_field(Http2Stream& stream, std::string_view name, std::string_view value);
  void take_body(Http2Stream& stream, std::string_view bytes);
  void finish_head(Http2Stream& stream, bool whole);
  void finish(Http2Stream& stream);
  void refuse(Http2Stream& stream, Refusal refusal);
  void close(std::int32_t id, bool broken);
  bool may_break(MonotonicTime now);
  /// Whether it has taken less than it was sent, so that nothing more may be: RFC 9113 5.2.
  bool waits_for_peer(std::int32_t id) const;
  void wait_until(Http2Stream& stream, MonotonicTime deadline);
  void terminate(std::uint32_t code);

  const ServerLimits& limits_;
  MakeStream make_stream_;
  nghttp2_session* session_ = nullptr;
  std::unordered_map<std::int32_t, std::unique_ptr<Http2Stream>> streams_;
  std::vector<std::unique_ptr<Http2Stream>> answered_;  // to their end, and not yet done
  bool served_ = false;
  bool draining_ = false;
  double breaks_ = 0;  // requests that were broken off, less what time has forgiven
  MonotonicTime broke_at_;
  MonotonicTime idle_since_;
  std::int32_t head_of_ = 0;                         // the stream whose head came last
  MonotonicTime head_since_ = MonotonicTime::max();  // when it began, while it is not whole
  MonotonicTime next_expiry_ = MonotonicTime::max();
};

}  // namespace autoglm::http
