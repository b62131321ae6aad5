#include "http/http2_session.h"

#include "http/answering.h"

#include <fmt/format.h>
#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <charconv>
#include <cstring>

namespace autoglm::http {

namespace {

// What a client may send ahead of our reading: enough for a long prompt in one round trip.
constexpr std::int32_t kStreamWindow = 256 * 1024;
constexpr std::int32_t kConnectionWindow = 1024 * 1024;
// RFC 9113 10.5.1 lets a peer ignore our limit; beyond so many times of it this is no mistake any more.
constexpr std::size_t kHeaderBomb = 8;
// Cancelled requests: so many at once, and then so many a second. A gateway before us cancels for all of its
// clients.
constexpr std::uint64_t kResetBurst = 1000;
constexpr std::uint64_t kResetsPerSecond = 100;
constexpr std::size_t kFieldOverhead = 32;  // RFC 9113 6.5.2

std::string_view text_of(const std::uint8_t* bytes, std::size_t size) {
  return {reinterpret_cast<const char*>(bytes), size};
}

MonotonicTime later(Duration wait) {
  const MonotonicTime now = std::chrono::steady_clock::now();
  return wait >= MonotonicTime::max() - now ? MonotonicTime::max() : now + wait;
}

struct OptionsDeleter {
  void operator()(nghttp2_option* options) const { nghttp2_option_del(options); }
};

/// The same for all sessions.
const nghttp2_option* session_options() {
  static const std::unique_ptr<nghttp2_option, OptionsDeleter> options = [] {
    nghttp2_option* made = nullptr;
    nghttp2_option_new(&made);
    nghttp2_option_set_stream_reset_rate_limit(made, kResetBurst, kResetsPerSecond);
    return std::unique_ptr<nghttp2_option, OptionsDeleter>(made);
  }();
  return options.get();
}

Refusal head_too_large(const HeadLimits& limits) {
  return {431, fmt::format("the request's header is larger than {} bytes or {} fields", limits.bytes,
                           limits.fields)};
}

}  // namespace

struct Http2Session::Callbacks {
  static Http2Session& session(void* user) { return *static_cast<Http2Session*>(user); }
  static Http2Stream* stream(nghttp2_session* session, std::int32_t id) {
    return static_cast<Http2Stream*>(nghttp2_session_get_stream_user_data(session, id));
  }

  static int on_begin_headers(nghttp2_session* /*session*/, const nghttp2_frame* frame, void* user) {
    Http2Session& self = session(user);
    self.head_of_ = frame->hd.stream_id;
    self.head_since_ = std::chrono::steady_clock::now();
    self.next_expiry_ = std::min(self.next_expiry_, self.head_since_ + self.limits_.header_time);
    if (frame->headers.cat == NGHTTP2_HCAT_REQUEST) self.open(frame->hd.stream_id);
    return 0;
  }

  static int on_header(nghttp2_session* session_handle, const nghttp2_frame* frame, const std::uint8_t* name,
                       std::size_t name_size, const std::uint8_t* value, std::size_t value_size,
                       std::uint8_t /*flags*/, void* user) {
    Http2Stream* found = stream(session_handle, frame->hd.stream_id);
    if (found == nullptr) return 0;
    return session(user).take_field(*found, text_of(name, name_size), text_of(value, value_size));
  }

  /// The library would drop the field and go on.
  static int on_invalid_header(nghttp2_session* session_handle, const nghttp2_frame* frame,
                               const std::uint8_t* /*name*/, std::size_t /*name_size*/,
                               const std::uint8_t* /*value*/, std::size_t /*value_size*/,
                               std::uint8_t /*flags*/, void* /*user*/) {
    nghttp2_submit_rst_stream(session_handle, NGHTTP2_FLAG_NONE, frame->hd.stream_id, NGHTTP2_PROTOCOL_ERROR);
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  }

  static int on_data(nghttp2_session* session_handle, std::uint8_t /*flags*/, std::int32_t id,
                     const std::uint8_t* data, std::size_t size, void* user) {
    if (Http2Stream* found = stream(session_handle, id)) session(user).take_body(*found, text_of(data, size));
    return 0;
  }

  static int on_frame(nghttp2_session* session_handle, const nghttp2_frame* frame, void* user) {
    Http2Session& self = session(user);
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA) return 0;
    if (frame->hd.type == NGHTTP2_HEADERS) self.head_since_ = MonotonicTime::max();
    Http2Stream* found = stream(session_handle, frame->hd.stream_id);
    if (found == nullptr) return 0;
    const bool whole = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
      self.finish_head(*found, whole);
    } else if (whole) {
      self.finish(*found);
    }
    return 0;
  }

  /// RFC 9113 8.1: who has been answered need not send the rest.
  static int on_sent(nghttp2_session* session_handle, const nghttp2_frame* frame, void* /*user*/) {
    if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0) return 0;
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA) return 0;
    const Http2Stream* found = stream(session_handle, frame->hd.stream_id);
    if (found != nullptr && !found->whole_)
      nghttp2_submit_rst_stream(session_handle, NGHTTP2_FLAG_NONE, frame->hd.stream_id, NGHTTP2_NO_ERROR);
    return 0;
  }

  static int on_close(nghttp2_session* session_handle, std::int32_t id, std::uint32_t /*code*/, void* user) {
    nghttp2_session_set_stream_user_data(session_handle, id, nullptr);
    session(user).close(id);
    return 0;
  }

  static ssize_t read_body(nghttp2_session* /*session*/, std::int32_t /*id*/, std::uint8_t* out,
                           std::size_t size, std::uint32_t* flags, nghttp2_data_source* source, void* user) {
    auto& from = *static_cast<Http2Stream*>(source->ptr);
    const std::size_t count = std::min(size, from.unsent_.size());
    if (count == 0 && !from.last_) {
      from.deferred_ = true;
      return NGHTTP2_ERR_DEFERRED;
    }
    if (count > 0) std::memcpy(out, from.unsent_.data(), count);
    from.unsent_.remove_prefix(count);
    if (!from.unsent_.empty()) {
      from.deadline_ = later(session(user).limits_.write_stall);
      return static_cast<ssize_t>(count);
    }
    if (from.last_) *flags |= NGHTTP2_DATA_FLAG_EOF;
    from.deadline_ = MonotonicTime::max();
    from.supplied(false);
    return static_cast<ssize_t>(count);
  }

  static nghttp2_session_callbacks* make() {
    nghttp2_session_callbacks* made = nullptr;
    nghttp2_session_callbacks_new(&made);
    nghttp2_session_callbacks_set_on_begin_headers_callback(made, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(made, on_header);
    nghttp2_session_callbacks_set_on_invalid_header_callback(made, on_invalid_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(made, on_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(made, on_frame);
    nghttp2_session_callbacks_set_on_frame_send_callback(made, on_sent);
    nghttp2_session_callbacks_set_on_stream_close_callback(made, on_close);
    return made;
  }
  struct Deleter {
    void operator()(nghttp2_session_callbacks* callbacks) const { nghttp2_session_callbacks_del(callbacks); }
  };
  static const nghttp2_session_callbacks* all() {
    static const std::unique_ptr<nghttp2_session_callbacks, Deleter> callbacks(make());
    return callbacks.get();
  }
};

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
  next_expiry_ = later(limits_.idle_time);
}

Http2Session::~Http2Session() {
  abandon();  // answers may still hold on to the session
  nghttp2_session_del(session_);
}

bool Http2Session::receive(std::string_view bytes) {
  const auto* data = reinterpret_cast<const std::uint8_t*>(bytes.data());
  return nghttp2_session_mem_recv(session_, data, bytes.size()) >= 0;
}

bool Http2Session::transmit(std::string& out, std::size_t enough) {
  std::erase_if(answered_, [](const auto& stream) { return stream->done(); });
  while (out.size() < enough) {
    const std::uint8_t* bytes = nullptr;
    const ssize_t count = nghttp2_session_mem_send(session_, &bytes);
    if (count < 0) return false;
    if (count == 0) break;
    out.append(text_of(bytes, static_cast<std::size_t>(count)));
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
  // Trailers count, and are dropped; of too large a head nothing more is kept.
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
  if (whole) {
    finish(stream);
    return;
  }
  if (request.framing.length > limits_.body_bytes) {
    refuse(stream, body_too_large(limits_.body_bytes));
    return;
  }
  wait_until(stream, later(limits_.body_time));
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
    // By doubling, and no further than what was announced.
    const std::size_t announced = stream.request.framing.length;
    std::size_t room = std::max(body.size() + bytes.size(), 2 * body.capacity());
    if (announced >= body.size() + bytes.size()) room = std::min(room, announced);
    if (!stream.body_share.cover(stream.request.head.size() + room)) {
      refuse(stream, no_body_memory());
      return;
    }
    body.reserve(room);
  }
  body.append(bytes);
}

void Http2Session::finish(Http2Stream& stream) {
  stream.whole_ = true;
  if (stream.refused_) return;
  stream.deadline_ = MonotonicTime::max();
  stream.answer();
}

void Http2Session::refuse(Http2Stream& stream, Refusal refusal) {
  stream.refused_ = true;
  stream.deadline_ = MonotonicTime::max();
  stream.request.body = {};
  stream.body_share = {};
  stream.refuse(std::move(refusal));
}

void Http2Session::close(std::int32_t id) {
  if (id == head_of_) head_since_ = MonotonicTime::max();  // one that was refused before it was whole
  const auto found = streams_.find(id);
  if (found == streams_.end()) return;
  const Http2Stream& stream = *found->second;
  if (stream.last_ && stream.unsent_.empty() && !stream.done()) answered_.push_back(std::move(found->second));
  streams_.erase(found);
  if (!streams_.empty()) return;
  idle_since_ = std::chrono::steady_clock::now();
  next_expiry_ = std::min(next_expiry_, idle_since_ + limits_.idle_time);
  if (draining_) terminate(NGHTTP2_NO_ERROR);
}

void Http2Session::respond(Http2Stream& stream, std::span<const HeaderField> fields, bool has_body) {
  std::vector<nghttp2_nv> out;
  out.reserve(fields.size());
  // The library copies; it takes what it does not change without const.
  const auto bytes = [](std::string_view text) {
    return const_cast<std::uint8_t*>(reinterpret_cast<const std::uint8_t*>(text.data()));
  };
  for (const auto& [name, value] : fields)
    out.push_back({bytes(name), bytes(value), name.size(), value.size(), NGHTTP2_NV_FLAG_NONE});
  stream.last_ = !has_body;
  nghttp2_data_provider body = {.source = {.ptr = &stream}, .read_callback = Callbacks::read_body};
  nghttp2_submit_response(session_, stream.id_, out.data(), out.size(), has_body ? &body : nullptr);
}

void Http2Session::supply(Http2Stream& stream, std::string_view bytes, bool last) {
  stream.unsent_ = bytes;
  stream.last_ = last;
  if (!bytes.empty()) wait_until(stream, later(limits_.write_stall));
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
    if (stream->whole_ || stream->refused_) {
      stream->supplied(true);
    } else {
      refuse(*stream, {408, "the request's body did not arrive in time"});
    }
  }
  next_expiry_ = next;
}

}  // namespace autoglm::http
