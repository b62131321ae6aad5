#include "http/http2_session.h"

#include "base/release.h"
#include "http/answering.h"
#include "http/http2_callbacks.h"
#include "runtime/deadline.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <new>

namespace autoglm::http {

namespace {

// How much a client may send before the server reads: enough for a long prompt in one round trip.
constexpr std::int32_t kStreamWindow = 256 * 1024;
constexpr std::int32_t kConnectionWindow = 1024 * 1024;
// RFC 9113 10.5.1 lets a peer ignore the limit; beyond this multiple it is no mistake any more.
constexpr std::size_t kHeaderBomb = 8;
// Cancelled requests: the allowed burst, and the allowed rate after it. A gateway in front of this server
// cancels for all of its clients.
constexpr std::uint64_t kResetBurst = 1000;
constexpr std::uint64_t kResetsPerSecond = 100;
// Frames waiting to be sent: a client that asks on without reading gets no more.
constexpr std::size_t kMaxQueued = 2000;
constexpr std::size_t kFieldOverhead = 32;  // RFC 9113 6.5.2

struct OptionsDeleter {
  void operator()(nghttp2_option* options) const { nghttp2_option_del(options); }
};

/// Shared by all sessions.
const nghttp2_option* session_options() {
  static const std::unique_ptr<nghttp2_option, OptionsDeleter> options = [] {
    nghttp2_option* made = nullptr;
    nghttp2_option_new(&made);
    nghttp2_option_set_stream_reset_rate_limit(made, kResetBurst, kResetsPerSecond);
    nghttp2_option_set_no_auto_window_update(made, 1);  // what a handler has not read is not acknowledged
    return std::unique_ptr<nghttp2_option, OptionsDeleter>(made);
  }();
  return options.get();
}

/// nghttp2 copies these bytes, but takes them without const.
template <class Fields>
std::vector<nghttp2_nv> to_nghttp2(const Fields& fields) {
  const auto bytes = [](std::string_view text) {
    return const_cast<std::uint8_t*>(reinterpret_cast<const std::uint8_t*>(text.data()));
  };
  std::vector<nghttp2_nv> out;
  out.reserve(fields.size());
  for (const auto& [name, value] : fields)
    out.push_back({bytes(name), bytes(value), name.size(), value.size(), NGHTTP2_NV_FLAG_NONE});
  return out;
}

Refusal head_too_large(const HeadLimits& limits) {
  return {431, fmt::format("the request's header is larger than {} bytes or {} fields", limits.bytes,
                           limits.fields)};
}

}  // namespace

Http2Session::Http2Session(const ServerLimits& limits, MakeStream make_stream)
    : limits_(limits), make_stream_(std::move(make_stream)), idle_since_(std::chrono::steady_clock::now()) {
  nghttp2_session_server_new2(&session_, Callbacks::all(), this, session_options());
  const nghttp2_settings_entry settings[] = {
      {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, limits_.http2_streams},
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, kStreamWindow},
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, static_cast<std::uint32_t>(limits_.head.bytes)},
  };
  nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings, std::size(settings));
  nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0, kConnectionWindow);
  next_expiry_ = Deadline::after(limits_.idle_time).at();
}

Http2Session::~Http2Session() {
  abandon();  // answers may still refer to the session
  nghttp2_session_del(session_);
}

bool Http2Session::receive(std::string_view bytes) {
  const auto* data = reinterpret_cast<const std::uint8_t*>(bytes.data());
  return nghttp2_session_mem_recv(session_, data, bytes.size()) >= 0 &&
         nghttp2_session_get_outbound_queue_size(session_) <= kMaxQueued;
}

bool Http2Session::transmit(std::string& out, std::size_t enough) {
  std::erase_if(answered_, [](const auto& stream) { return stream->done(); });
  while (out.size() < enough) {
    const std::uint8_t* bytes = nullptr;
    const ssize_t count = nghttp2_session_mem_send(session_, &bytes);
    if (count < 0) return false;
    if (count == 0) break;
    out.append(reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(count));
  }
  return true;
}

bool Http2Session::ended() const {
  return nghttp2_session_want_read(session_) == 0 && nghttp2_session_want_write(session_) == 0;
}

void Http2Session::open(std::int32_t id) {
  auto made = make_stream_();
  Http2Stream* stream = made.get();
  stream->id_ = id;
  stream->request.major_version = 2;
  stream->request.minor_version = 0;
  stream->body_share = BodyMemory::Share(limits_.body_memory.get(), 0);
  streams_.emplace(id, std::move(made));
  nghttp2_session_set_stream_user_data(session_, id, stream);
  served_ = true;
}

int Http2Session::take_field(Http2Stream& stream, std::string_view name, std::string_view value) {
  ++stream.fields_;
  stream.head_bytes_ += name.size() + value.size() + kFieldOverhead;
  const HeadLimits& most = limits_.head;
  if (stream.head_bytes_ > kHeaderBomb * most.bytes) {
    terminate(NGHTTP2_ENHANCE_YOUR_CALM);
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  }
  // Trailers are counted and dropped; of a head that is too large, nothing more is kept.
  if (stream.whole_ || stream.refused_ || stream.request.method.data() != nullptr) return 0;
  if (stream.head_bytes_ > most.bytes || stream.fields_ > most.fields) return 0;
  stream.request.head.append(name).append(value);
  stream.lengths_.emplace_back(name.size(), value.size());
  return 0;
}

void Http2Session::finish_head(Http2Stream& stream, bool whole) {
  Request& request = stream.request;
  if (stream.head_bytes_ > limits_.head.bytes || stream.fields_ > limits_.head.fields) {
    stream.whole_ = whole;
    refuse(stream, head_too_large(limits_.head));
    return;
  }
  stream.whole_ = whole;
  std::string_view rest = request.head;
  std::string_view authority;
  for (const auto& [name_size, value_size] : stream.lengths_) {
    const std::string_view name = rest.substr(0, name_size);
    const std::string_view value = rest.substr(name_size, value_size);
    rest.remove_prefix(name_size + value_size);
    if (!name.starts_with(':')) {
      request.headers.add(name, value);
    } else if (name == ":method") {
      request.method = value;
    } else if (name == ":path") {
      request.target = value;
    } else if (name == ":authority") {
      authority = value;
    }
  }
  stream.lengths_ = {};
  if (!authority.empty() && !request.headers.find("host")) request.headers.add("host", authority);
  if (auto checked = check_request(request); !checked) {
    refuse(stream, checked.error());
    return;
  }
  if (!stream.body_share.cover(request.head.size())) {
    refuse(stream, no_body_memory());
    return;
  }
  stream.pieces_ = stream.reads_pieces();
  if (whole) {
    finish(stream);
    return;
  }
  if (!stream.pieces_ && request.framing.length > limits_.body_bytes) {
    refuse(stream, body_too_large(limits_.body_bytes));
    return;
  }
  wait_until(stream, Deadline::after(limits_.body_time).at());
  if (!request.expects_continue) return;
  std::string status = ":status";
  std::string code = "100";
  const nghttp2_nv field = {reinterpret_cast<std::uint8_t*>(status.data()),
                            reinterpret_cast<std::uint8_t*>(code.data()), status.size(), code.size(),
                            NGHTTP2_NV_FLAG_NONE};
  nghttp2_submit_headers(session_, NGHTTP2_FLAG_NONE, stream.id_, nullptr, &field, 1, nullptr);
}

void Http2Session::take_body(Http2Stream& stream, std::string_view bytes) {
  if (stream.refused_) return;
  std::string& body = stream.request.body;
  if (body.size() + bytes.size() > limits_.body_bytes) {
    refuse(stream, body_too_large(limits_.body_bytes));
    return;
  }
  if (body.size() + bytes.size() > body.capacity()) {
    // Grows by doubling, but no further than announced.
    const std::size_t announced = stream.request.framing.length;
    std::size_t room = std::max(body.size() + bytes.size(), 2 * body.capacity());
    if (announced >= body.size() + bytes.size()) room = std::min(room, announced);
    if (!stream.body_share.cover(stream.request.head.size() + room)) {
      refuse(stream, no_body_memory());
      return;
    }
    try {
      body.reserve(room);
    } catch (const std::bad_alloc&) {
      refuse(stream, out_of_memory());
      return;
    }
  }
  body.append(bytes);
}

/// The flow-control window bounds what is not read yet.
void Http2Session::take_piece(Http2Stream& stream, std::string_view bytes) {
  std::string& body = stream.request.body;
  try {
    body.append(bytes);
  } catch (const std::bad_alloc&) {
    stream.lost_ = true;
  }
  if (stream.lost_ || !cover(stream)) {
    stream.lost_ = true;
    stop_reading(stream);
  }
  tell(stream);
}

/// The handler is called late: a message that has come with its head is there when it asks.
void Http2Session::tell(Http2Stream& stream) {
  if (std::exchange(stream.begun_, true)) {
    stream.arrived();
  } else {
    stream.deadline_ = MonotonicTime::max();
    stream.answer();
  }
}

bool Http2Session::cover(Http2Stream& stream) {
  const Request& request = stream.request;
  return stream.body_share.fit(request.head.size() + request.body.capacity() + stream.kept_);
}

void Http2Session::take(Http2Stream& stream, std::string& to) {
  std::string& body = stream.request.body;
  nghttp2_session_consume_stream(session_, stream.id_, body.size());
  to += body;
  if (body.capacity() > BodyMemory::Share::kFree) {
    release(body);
  } else {
    body.clear();
  }
}

bool Http2Session::keep(Http2Stream& stream, std::size_t bytes) {
  stream.kept_ = bytes;
  return cover(stream);
}

void Http2Session::stop_reading(Http2Stream& stream) {
  if (!stream.pieces_ || std::exchange(stream.unread_, true)) return;
  nghttp2_session_consume_stream(session_, stream.id_, stream.request.body.size());
  release(stream.request.body);
}

void Http2Session::finish(Http2Stream& stream) {
  stream.whole_ = true;
  if (stream.refused_) return;
  if (stream.pieces_) {
    tell(stream);
    return;
  }
  stream.deadline_ = MonotonicTime::max();
  stream.answer();
}

void Http2Session::refuse(Http2Stream& stream, Refusal refusal) {
  stream.refused_ = true;
  stream.deadline_ = MonotonicTime::max();
  Request& request = stream.request;
  request.method = request.method == "HEAD" ? "HEAD" : "";
  request.target = request.path = request.query = {};
  request.headers = {};
  release(request.head);
  release(request.body);
  stream.lengths_ = {};
  stream.body_share = {};
  stream.refuse(std::move(refusal));
}

void Http2Session::close(std::int32_t id, bool broken) {
  if (id == head_of_) head_since_ = MonotonicTime::max();  // refused before it was complete
  const auto found = streams_.find(id);
  if (found == streams_.end()) return;
  const Http2Stream& stream = *found->second;
  const bool answered = stream.last_ && stream.unsent_.empty();
  // Whatever the cause: nghttp2 counts only resets that the peer has sent.
  if (broken && !answered && !may_break(std::chrono::steady_clock::now()))
    terminate(NGHTTP2_ENHANCE_YOUR_CALM);
  if (answered && !stream.done()) answered_.push_back(std::move(found->second));
  streams_.erase(found);
  if (!streams_.empty()) return;
  idle_since_ = std::chrono::steady_clock::now();
  next_expiry_ = std::min(next_expiry_, idle_since_ + limits_.idle_time);
  if (draining_) terminate(NGHTTP2_NO_ERROR);
}

bool Http2Session::may_break(MonotonicTime now) {
  const auto most = static_cast<double>(kResetBurst);
  const double regained = to_seconds(now - broke_at_) * static_cast<double>(kResetsPerSecond);
  breaks_ = std::max(0.0, breaks_ - regained) + 1;
  broke_at_ = now;
  return breaks_ <= most;
}

void Http2Session::respond(Http2Stream& stream, std::span<const HeaderField> fields, bool has_body) {
  auto out = to_nghttp2(fields);
  stream.last_ = !has_body;
  nghttp2_data_provider body = {.source = {.ptr = &stream}, .read_callback = Callbacks::read_body};
  nghttp2_submit_response(session_, stream.id_, out.data(), out.size(), has_body ? &body : nullptr);
}

void Http2Session::send_trailers(const Http2Stream& stream) {
  const auto out = to_nghttp2(stream.trailers);
  nghttp2_submit_trailer(session_, stream.id_, out.data(), out.size());
}

void Http2Session::supply(Http2Stream& stream, std::string_view bytes, bool last) {
  stream.unsent_ = bytes;
  stream.last_ = last;
  if (!bytes.empty() || last) wait_until(stream, Deadline::after(limits_.write_stall).at());
  if (std::exchange(stream.deferred_, false)) nghttp2_session_resume_data(session_, stream.id_);
}

void Http2Session::reset(Http2Stream& stream) {
  stream.last_ = false;
  nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, stream.id_, NGHTTP2_INTERNAL_ERROR);
}

bool Http2Session::drain() {
  if (std::exchange(draining_, true)) return false;
  nghttp2_submit_shutdown_notice(session_);
  if (streams_.empty()) terminate(NGHTTP2_NO_ERROR);
  return true;
}

void Http2Session::terminate(std::uint32_t code) { nghttp2_session_terminate_session(session_, code); }

bool Http2Session::waits_for_peer(std::int32_t id) const {
  return nghttp2_session_get_remote_window_size(session_) <= 0 ||
         nghttp2_session_get_stream_remote_window_size(session_, id) <= 0;
}

void Http2Session::wait_until(Http2Stream& stream, MonotonicTime deadline) {
  stream.deadline_ = deadline;
  next_expiry_ = std::min(next_expiry_, deadline);
}

void Http2Session::expire(MonotonicTime now) {
  MonotonicTime next = MonotonicTime::max();
  const auto passed = [&](MonotonicTime at) {
    if (now >= at) return true;
    next = std::min(next, at);
    return false;
  };
  if (head_since_ != MonotonicTime::max() && passed(head_since_ + limits_.header_time)) {
    terminate(NGHTTP2_ENHANCE_YOUR_CALM);
  } else if (streams_.empty() && passed(idle_since_ + limits_.idle_time)) {
    terminate(NGHTTP2_NO_ERROR);
  }
  for (auto& [id, stream] : streams_) {
    if (stream->deadline_ == MonotonicTime::max() || !passed(stream->deadline_)) continue;
    stream->deadline_ = MonotonicTime::max();
    if (!stream->whole_ && !stream->refused_ && !stream->begun_) {
      if (stream->pieces_) {
        tell(*stream);  // whose handler has its own patience, and says in its protocol that none is left
      } else {
        refuse(*stream, {408, "the request's body did not arrive in time"});
      }
    } else if (!waits_for_peer(id)) {
      stream->deadline_ = now + limits_.write_stall;  // waits in our own queue, which either moves or ends
                                                      // the connection
    } else if (stream->unsent_.empty()) {
      reset(*stream);  // only its end is missing, which the peer does not wait for
    } else {
      stream->supplied(true);
    }
    next = std::min(next, stream->deadline_);
  }
  next_expiry_ = next;
}

}  // namespace autoglm::http
