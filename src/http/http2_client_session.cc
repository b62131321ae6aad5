#include "http/http2_client_session.h"

#include "base/utf8.h"
#include "runtime/event_loop.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <exception>
#include <utility>

namespace autoglm::http {

namespace {

constexpr std::int32_t kClientWindow = std::int32_t{16} << 20U;  // unread calls must not stop others
constexpr std::size_t kHeadFieldOverhead = 32;                   // RFC 9113 6.5.2
constexpr unsigned kMostInterim = 100;
constexpr std::size_t kMostSentKept = std::size_t{64} << 10U;

Error server_error(ErrorCode code, std::string message, std::string_view reason = {}) {
  return Error{.code = code,
               .origin = Origin::kEndpoint,
               .retry = Retry::kElsewhere,
               .message = std::move(message),
               .reason = std::string(reason)};
}

std::string_view bytes_of(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

/// Calls are also destroyed behind their loop, which then resumes nobody.
void raise_on_loop(Signal& signal) {
  if (EventLoop::current_or_null() != nullptr) signal.set();
}

nghttp2_nv field_of(std::string_view name, std::string_view value) {
  // nghttp2 copies these bytes, but takes them without const.
  const auto bytes = [](std::string_view text) {
    return const_cast<std::uint8_t*>(reinterpret_cast<const std::uint8_t*>(text.data()));
  };
  return {bytes(name), bytes(value), name.size(), value.size(), NGHTTP2_NV_FLAG_NONE};
}

}  // namespace

/// A callback from which no exception goes through C.
template <auto kCallback>
struct Caught;
template <class... In, int (*kCallback)(In...)>
struct Caught<kCallback> {
  static int call(In... in) noexcept {
    try {
      return kCallback(in...);
    } catch (const std::exception&) {  // memory is short
      return NGHTTP2_ERR_CALLBACK_FAILURE;
    }
  }
};

/// nghttp2's.
struct Http2ClientSession::Callbacks {
  static Http2ClientSession& self(void* user) { return *static_cast<Http2ClientSession*>(user); }

  static int on_header(nghttp2_session* /*session*/, const nghttp2_frame* frame, const std::uint8_t* name,
                       std::size_t name_size, const std::uint8_t* value, std::size_t value_size,
                       std::uint8_t /*flags*/, void* user) {
    if (frame->hd.type != NGHTTP2_HEADERS) return 0;  // a promise, which names the call that it goes with
    Http2CallState* call = self(user).find(frame->hd.stream_id);
    if (call == nullptr || call->abandoned) return 0;
    return self(user).take_field(*call, bytes_of(name, name_size), bytes_of(value, value_size));
  }

  static int on_data(nghttp2_session* session, std::uint8_t /*flags*/, std::int32_t id,
                     const std::uint8_t* data, std::size_t size, void* user) {
    nghttp2_session_consume_connection(session, size);
    Http2CallState* call = self(user).find(id);
    if (call == nullptr || call->abandoned) {
      nghttp2_session_consume_stream(session, id, size);
      return 0;
    }
    call->body.append(bytes_of(data, size));
    call->arrived.set();
    return 0;
  }

  static int on_frame(nghttp2_session* /*session*/, const nghttp2_frame* frame, void* user) {
    Http2ClientSession& session = self(user);
    if (frame->hd.type == NGHTTP2_PING && (frame->hd.flags & NGHTTP2_FLAG_ACK) != 0) {
      std::memcpy(&session.pings_answered, frame->ping.opaque_data, sizeof session.pings_answered);
      session.pong.wake_all();
    } else if (frame->hd.type == NGHTTP2_GOAWAY) {
      session.leaving_ = true;
      session.goodbye_ =
          fmt::format("{} {}", nghttp2_http2_strerror(frame->goaway.error_code),
                      excerpt(bytes_of(frame->goaway.opaque_data, frame->goaway.opaque_data_len), 200));
    }
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA) return 0;
    Http2CallState* call = session.find(frame->hd.stream_id);
    if (call == nullptr) return 0;
    if (frame->hd.type == NGHTTP2_HEADERS) session.finish_head(*call);
    if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) {
      call->ended = true;
      call->arrived.set();
      call->taken.set();
    }
    return 0;
  }

  static int on_sent(nghttp2_session* /*session*/, const nghttp2_frame* frame, void* user) {
    // nghttp2 says goodbye with an error to a server that does not keep to the protocol.
    if (frame->hd.type == NGHTTP2_GOAWAY && frame->goaway.error_code != NGHTTP2_NO_ERROR)
      self(user).broken_ =
          fmt::format("{} {}", nghttp2_http2_strerror(frame->goaway.error_code),
                      excerpt(bytes_of(frame->goaway.opaque_data, frame->goaway.opaque_data_len), 200));
    return 0;
  }

  static int on_close(nghttp2_session* /*session*/, std::int32_t id, std::uint32_t code, void* user) {
    self(user).close(id, code);
    return 0;
  }

  static ssize_t read_body(nghttp2_session* /*session*/, std::int32_t /*id*/, std::uint8_t* out,
                           std::size_t size, std::uint32_t* flags, nghttp2_data_source* source,
                           void* /*user*/) {
    auto& call = *static_cast<Http2CallState*>(source->ptr);
    const std::size_t count = std::min(size, call.unsent.size() - call.sent);
    if (count == 0 && !call.last) {
      call.deferred = true;
      return NGHTTP2_ERR_DEFERRED;
    }
    std::memcpy(out, call.unsent.data() + call.sent, count);
    call.sent += count;
    if (call.sent == call.unsent.size()) {
      call.unsent.clear();
      call.sent = 0;
      if (call.last) *flags |= NGHTTP2_DATA_FLAG_EOF;
    } else if (call.sent > kMostSentKept && call.sent > call.unsent.size() / 2) {
      call.unsent.erase(0, call.sent);
      call.sent = 0;
    }
    call.taken.set();
    return static_cast<ssize_t>(count);
  }

  static const nghttp2_session_callbacks* all() {
    // One for the process, never freed: a table of functions.
    static nghttp2_session_callbacks* const callbacks = [] {
      nghttp2_session_callbacks* made = nullptr;
      nghttp2_session_callbacks_new(&made);
      nghttp2_session_callbacks_set_on_header_callback(made, Caught<&on_header>::call);
      nghttp2_session_callbacks_set_on_data_chunk_recv_callback(made, Caught<&on_data>::call);
      nghttp2_session_callbacks_set_on_frame_recv_callback(made, Caught<&on_frame>::call);
      nghttp2_session_callbacks_set_on_stream_close_callback(made, Caught<&on_close>::call);
      nghttp2_session_callbacks_set_on_frame_send_callback(made, Caught<&on_sent>::call);
      return made;
    }();
    return callbacks;
  }
};

Http2ClientSession::Http2ClientSession(const Http2Client::Limits& limits) : limits_(limits) {
  nghttp2_option* options = nullptr;
  nghttp2_option_new(&options);
  nghttp2_option_set_no_auto_window_update(options, 1);  // what is not read is not acknowledged
  nghttp2_session_client_new2(&session_, Callbacks::all(), this, options);
  nghttp2_option_del(options);
  const nghttp2_settings_entry settings[] = {
      {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, limits_.call_window},
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, static_cast<std::uint32_t>(limits_.head_bytes)},
  };
  nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings, std::size(settings));
  nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0, kClientWindow);
}

bool Http2ClientSession::receive(std::string_view bytes) {
  const auto* data = reinterpret_cast<const std::uint8_t*>(bytes.data());
  return nghttp2_session_mem_recv(session_, data, bytes.size()) >= 0;
}

bool Http2ClientSession::transmit(std::string& out, std::size_t enough) {
  while (out.size() < enough) {
    const std::uint8_t* bytes = nullptr;
    const ssize_t count = nghttp2_session_mem_send(session_, &bytes);
    if (count < 0) return false;
    if (count == 0) break;
    out.append(bytes_of(bytes, static_cast<std::size_t>(count)));
  }
  return true;
}

std::shared_ptr<Http2CallState> Http2ClientSession::begin(const Http2Head& head, bool whole) {
  if (!usable()) return nullptr;
  std::vector<nghttp2_nv> fields = {field_of(":method", head.method), field_of(":scheme", head.scheme),
                                    field_of(":authority", head.authority), field_of(":path", head.path)};
  for (const auto& [name, value] : head.headers) fields.push_back(field_of(name, value));
  auto call = std::make_shared<Http2CallState>();
  call->last = whole;
  const nghttp2_data_provider body = {.source = {.ptr = call.get()}, .read_callback = Callbacks::read_body};
  call->id = nghttp2_submit_request(session_, nullptr, fields.data(), fields.size(), whole ? nullptr : &body,
                                    nullptr);
  if (call->id < 0) return nullptr;  // the numbers are used up
  calls_.emplace(call->id, call);
  wanted.set();
  return call;
}

void Http2ClientSession::send(Http2CallState& call, std::string_view bytes, bool last) {
  if (call.closed || call.last || why_) return;
  if (call.ended && !bytes.empty()) {
    // The answer is complete, and nobody may read the rest, so that it would wait here for ever. A body that
    // is cut off must not look whole.
    call.last = true;
    call.unsent = {};
    call.sent = 0;
    nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, call.id, NGHTTP2_CANCEL);
    wanted.set();
    return;
  }
  call.unsent.append(bytes);
  call.last = last;
  if (std::exchange(call.deferred, false)) nghttp2_session_resume_data(session_, call.id);
  wanted.set();
}

void Http2ClientSession::take(Http2CallState& call, std::string& out) {
  out += call.body;
  const std::size_t size = call.body.size();
  call.body.clear();
  if (call.closed || why_) return;
  nghttp2_session_consume_stream(session_, call.id, size);
  wanted.set();  // there may be a window to give
}

void Http2ClientSession::abandon(Http2CallState& call) {
  call.abandoned = true;
  if (call.closed || why_) return;
  nghttp2_session_consume_stream(session_, call.id, call.body.size());
  nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, call.id, NGHTTP2_CANCEL);
  raise_on_loop(wanted);
}

std::uint64_t Http2ClientSession::ping() {
  std::array<std::uint8_t, sizeof pings_> number{};
  ++pings_;
  std::memcpy(number.data(), &pings_, sizeof pings_);
  nghttp2_submit_ping(session_, NGHTTP2_FLAG_NONE, number.data());
  wanted.set();
  return pings_;
}

void Http2ClientSession::end(Error why) {
  if (why_) return;
  if (!broken_.empty())
    why =
        server_error(ErrorCode::kBadGateway, "the server does not keep to HTTP/2: " + broken_, kBrokenHttp2);
  if (!goodbye_.empty()) why.message += "; it said: " + goodbye_;
  why_ = std::move(why);
  auto calls = std::exchange(calls_, {});
  for (auto& [id, call] : calls) {
    call->closed = true;
    if (!call->ended && !call->error) call->error = why_;
    raise_on_loop(call->arrived);
    raise_on_loop(call->taken);
  }
  raise_on_loop(pong);
  raise_on_loop(over_signal);
}

Http2CallState* Http2ClientSession::find(std::int32_t id) {
  const auto found = calls_.find(id);
  return found == calls_.end() ? nullptr : found->second.get();
}

int Http2ClientSession::take_field(Http2CallState& call, std::string_view name, std::string_view value) {
  call.head_bytes += name.size() + value.size() + kHeadFieldOverhead;
  if (call.head_bytes > limits_.head_bytes) {
    break_off(call, "has a head that is too large");
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  }
  Fields& fields = call.status == 0 ? call.headers : call.trailers;
  fields.emplace_back(name, value);
  return 0;
}

/// nghttp2 has checked that an answer has one `:status`, before all others.
void Http2ClientSession::finish_head(Http2CallState& call) {
  if (call.status != 0 || call.headers.empty()) return;
  const std::string& status = call.headers.front().second;
  int number = 0;
  std::from_chars(status.data(), status.data() + status.size(), number);
  if (number / 100 == 1) {
    call.headers.clear();
    if (++call.interim > kMostInterim) break_off(call, "has interim answers without end");
    return;
  }
  if (number < 100) return break_off(call, "has a status that is none");
  call.headers.erase(call.headers.begin());
  call.head_bytes = 0;
  call.status = number;
  call.arrived.set();
}

void Http2ClientSession::break_off(Http2CallState& call, std::string_view why) {
  if (!call.error)
    call.error = server_error(ErrorCode::kBadGateway, fmt::format("the server's answer {}", why));
  nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, call.id, NGHTTP2_CANCEL);
  call.arrived.set();
  call.taken.set();
}

void Http2ClientSession::close(std::int32_t id, std::uint32_t code) {
  const auto found = calls_.find(id);
  if (found == calls_.end()) return;
  const std::shared_ptr<Http2CallState> call = found->second;
  calls_.erase(found);
  call->closed = true;
  if (!call->ended && !call->error) {
    const bool refused = code == NGHTTP2_REFUSED_STREAM;
    call->error = server_error(
        ErrorCode::kUnavailable,
        refused ? "the server takes no more calls" + (goodbye_.empty() ? "" : "; it said: " + goodbye_)
                : fmt::format("the server has broken off its answer ({})", nghttp2_http2_strerror(code)),
        refused ? kCallRefused : std::string_view());
  }
  call->arrived.set();
  call->taken.set();
  wanted.set();  // the last call of a connection that ends
}

}  // namespace autoglm::http
