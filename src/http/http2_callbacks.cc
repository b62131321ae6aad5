#include "http/http2_callbacks.h"

#include "runtime/deadline.h"

#include <algorithm>
#include <cstring>
#include <memory>

namespace autoglm::http {

namespace {

std::string_view text_of(const std::uint8_t* bytes, std::size_t size) {
  return {reinterpret_cast<const char*>(bytes), size};
}

struct Deleter {
  void operator()(nghttp2_session_callbacks* callbacks) const { nghttp2_session_callbacks_del(callbacks); }
};
}  // namespace

int Http2Session::Callbacks::on_begin_headers(nghttp2_session* /*session*/, const nghttp2_frame* frame,
                                              void* user) {
  Http2Session& self = session(user);
  self.head_of_ = frame->hd.stream_id;
  self.head_since_ = std::chrono::steady_clock::now();
  self.next_expiry_ = std::min(self.next_expiry_, self.head_since_ + self.limits_.header_time);
  if (frame->headers.cat == NGHTTP2_HCAT_REQUEST) self.open(frame->hd.stream_id);
  return 0;
}

int Http2Session::Callbacks::on_header(nghttp2_session* session_handle, const nghttp2_frame* frame,
                                       const std::uint8_t* name, std::size_t name_size,
                                       const std::uint8_t* value, std::size_t value_size,
                                       std::uint8_t /*flags*/, void* user) {
  Http2Stream* found = stream(session_handle, frame->hd.stream_id);
  if (found == nullptr) return 0;
  return session(user).take_field(*found, text_of(name, name_size), text_of(value, value_size));
}

/// By default nghttp2 would drop the field and go on.
int Http2Session::Callbacks::on_invalid_header(nghttp2_session* session_handle, const nghttp2_frame* frame,
                                               const std::uint8_t* /*name*/, std::size_t /*name_size*/,
                                               const std::uint8_t* /*value*/, std::size_t /*value_size*/,
                                               std::uint8_t /*flags*/, void* /*user*/) {
  nghttp2_submit_rst_stream(session_handle, NGHTTP2_FLAG_NONE, frame->hd.stream_id, NGHTTP2_PROTOCOL_ERROR);
  return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

int Http2Session::Callbacks::on_data(nghttp2_session* session_handle, std::uint8_t /*flags*/, std::int32_t id,
                                     const std::uint8_t* data, std::size_t size, void* user) {
  // A body that nobody reads for a while must not stop the other requests of its connection.
  nghttp2_session_consume_connection(session_handle, size);
  Http2Stream* found = stream(session_handle, id);
  if (found != nullptr && found->pieces_ && !found->unread_ && !found->refused_) {
    session(user).take_piece(*found, text_of(data, size));
    return 0;
  }
  nghttp2_session_consume_stream(session_handle, id, size);
  if (found != nullptr && !found->pieces_) session(user).take_body(*found, text_of(data, size));
  return 0;
}

int Http2Session::Callbacks::on_frame(nghttp2_session* session_handle, const nghttp2_frame* frame,
                                      void* user) {
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

/// RFC 9113 8.1: a client that has been answered need not send the rest.
int Http2Session::Callbacks::on_sent(nghttp2_session* session_handle, const nghttp2_frame* frame,
                                     void* /*user*/) {
  if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0) return 0;
  if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA) return 0;
  const Http2Stream* found = stream(session_handle, frame->hd.stream_id);
  if (found != nullptr && !found->whole_)
    nghttp2_submit_rst_stream(session_handle, NGHTTP2_FLAG_NONE, frame->hd.stream_id, NGHTTP2_NO_ERROR);
  return 0;
}

int Http2Session::Callbacks::on_close(nghttp2_session* session_handle, std::int32_t id, std::uint32_t code,
                                      void* user) {
  nghttp2_session_set_stream_user_data(session_handle, id, nullptr);
  session(user).close(id, code != NGHTTP2_NO_ERROR);
  return 0;
}

ssize_t Http2Session::Callbacks::read_body(nghttp2_session* /*session*/, std::int32_t /*id*/,
                                           std::uint8_t* out, std::size_t size, std::uint32_t* flags,
                                           nghttp2_data_source* source, void* user) {
  auto& from = *static_cast<Http2Stream*>(source->ptr);
  const std::size_t count = std::min(size, from.unsent_.size());
  if (count == 0 && !from.last_) {
    from.deferred_ = true;
    return NGHTTP2_ERR_DEFERRED;
  }
  if (count > 0) std::memcpy(out, from.unsent_.data(), count);
  from.unsent_.remove_prefix(count);
  if (!from.unsent_.empty()) {
    from.deadline_ = Deadline::after(session(user).limits_.write_stall).at();
    return static_cast<ssize_t>(count);
  }
  if (from.last_) {
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (!from.trailers.empty()) {
      *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
      session(user).send_trailers(from);
    }
  }
  from.deadline_ = MonotonicTime::max();
  from.supplied(false);
  return static_cast<ssize_t>(count);
}

nghttp2_session_callbacks* Http2Session::Callbacks::make() {
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

const nghttp2_session_callbacks* Http2Session::Callbacks::all() {
  static const std::unique_ptr<nghttp2_session_callbacks, Deleter> callbacks(make());
  return callbacks.get();
}
}  // namespace autoglm::http
