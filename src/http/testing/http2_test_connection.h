#pragma once

#include "runtime/byte_stream.h"
#include "runtime/event_loop.h"
#include "runtime/race.h"
#include "runtime/scope.h"
#include "runtime/signal.h"

#include <nghttp2/nghttp2.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace autoglm::http {

/// A connection of a server that does what a test tells it to, using nghttp2's own server. Its owner is told
/// of each request's head and of each end.
class Http2TestConnection {
 public:
  using Fields = std::vector<std::pair<std::string, std::string>>;
  struct Asked {
    std::map<std::string, std::string> head;
    std::string body;
    bool whole = false, closed = false;
    std::uint32_t code = 0;  // with which it was closed
    std::string unsent;
    bool last = false;
    Fields trailers;
  };
  /// Called with each head and each part of a body.
  using Told = std::function<void(Http2TestConnection&, std::int32_t)>;

  Http2TestConnection(std::unique_ptr<ByteStream> stream, Told told,
                      std::vector<nghttp2_settings_entry> settings)
      : stream_(std::move(stream)), told_(std::move(told)) {
    nghttp2_session_callbacks* callbacks = nullptr;
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
    nghttp2_option* options = nullptr;
    nghttp2_option_new(&options);
    nghttp2_option_set_no_auto_window_update(options, 1);
    nghttp2_session_server_new2(&session_, callbacks, this, options);
    nghttp2_option_del(options);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings.data(), settings.size());
    scope_.spawn(serve());
  }
  ~Http2TestConnection() {
    scope_.cancel();
    nghttp2_session_del(session_);
  }
  void respond(std::int32_t id, const std::string& status, Fields fields, const std::string& body, bool last,
               Fields trailers = {}) {
    fields.insert(fields.begin(), {":status", status});
    Asked& call = asked[id];
    call.unsent = body;
    call.last = last;
    call.trailers = std::move(trailers);
    const nghttp2_data_provider provider = {.source = {.ptr = &call}, .read_callback = read_body};
    auto out = to_nghttp2(fields);
    nghttp2_submit_response(session_, id, out.data(), out.size(), &provider);
    wanted_.set();
  }
  void head(std::int32_t id, Fields fields) {
    auto out = to_nghttp2(fields);
    nghttp2_submit_headers(session_, NGHTTP2_FLAG_NONE, id, nullptr, out.data(), out.size(), nullptr);
    wanted_.set();
  }
  void send(std::int32_t id, const std::string& more, bool last = false) {
    Asked& call = asked[id];
    call.unsent += more;
    call.last = last;
    nghttp2_session_resume_data(session_, id);
    wanted_.set();
  }
  void reset(std::int32_t id, std::uint32_t code) {
    nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, id, code);
    wanted_.set();
  }
  void go_away(std::int32_t last, std::uint32_t code, const std::string& why) {
    nghttp2_submit_goaway(session_, NGHTTP2_FLAG_NONE, last, code,
                          reinterpret_cast<const std::uint8_t*>(why.data()), why.size());
    wanted_.set();
  }
  void give_window(std::int32_t id, std::size_t bytes) {
    nghttp2_session_consume_stream(session_, id, bytes);
    wanted_.set();
  }
  void say(std::string bytes) { raw_ += bytes, wanted_.set(); }
  void close() { stream_->close(); }
  /// Reads and answers nothing from now on, as a process that has been stopped.
  void freeze() { scope_.cancel(); }

  std::map<std::int32_t, Asked> asked;
  bool ended = false;  // the client has closed the connection
  bool gives_windows = true;

 private:
  static Http2TestConnection& self(void* user) { return *static_cast<Http2TestConnection*>(user); }
  static std::vector<nghttp2_nv> to_nghttp2(Fields& fields) {
    std::vector<nghttp2_nv> out;
    for (auto& [name, value] : fields)
      out.push_back({reinterpret_cast<std::uint8_t*>(name.data()),
                     reinterpret_cast<std::uint8_t*>(value.data()), name.size(), value.size(),
                     NGHTTP2_NV_FLAG_NONE});
    return out;
  }
  static int on_header(nghttp2_session*, const nghttp2_frame* frame, const std::uint8_t* name,
                       std::size_t name_size, const std::uint8_t* value, std::size_t value_size, std::uint8_t,
                       void* user) {
    self(user).asked[frame->hd.stream_id].head.emplace(
        std::string(reinterpret_cast<const char*>(name), name_size),
        std::string(reinterpret_cast<const char*>(value), value_size));
    return 0;
  }
  static int on_data(nghttp2_session* session, std::uint8_t, std::int32_t id, const std::uint8_t* data,
                     std::size_t size, void* user) {
    nghttp2_session_consume_connection(session, size);
    if (self(user).gives_windows) nghttp2_session_consume_stream(session, id, size);
    self(user).asked[id].body.append(reinterpret_cast<const char*>(data), size);
    return 0;
  }
  static int on_frame(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA) return 0;
    if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) self(user).asked[frame->hd.stream_id].whole = true;
    self(user).told_(self(user), frame->hd.stream_id);
    return 0;
  }
  static int on_close(nghttp2_session*, std::int32_t id, std::uint32_t code, void* user) {
    self(user).asked[id].closed = true;
    self(user).asked[id].code = code;
    return 0;
  }
  static ssize_t read_body(nghttp2_session* session, std::int32_t id, std::uint8_t* out, std::size_t size,
                           std::uint32_t* flags, nghttp2_data_source* source, void*) {
    auto& call = *static_cast<Asked*>(source->ptr);
    const std::size_t count = call.unsent.copy(reinterpret_cast<char*>(out), size);
    if (count == 0 && !call.last) return NGHTTP2_ERR_DEFERRED;
    call.unsent.erase(0, count);
    if (!call.unsent.empty() || !call.last) return static_cast<ssize_t>(count);
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (!call.trailers.empty()) {
      *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
      auto fields = to_nghttp2(call.trailers);
      nghttp2_submit_trailer(session, id, fields.data(), fields.size());
    }
    return static_cast<ssize_t>(count);
  }

  Task<void> serve() {
    co_await first_of(receive(), transmit());
    ended = true;
    stream_->close();
  }
  Task<void> receive() {
    std::array<char, 16384> buffer;
    while (true) {
      const auto count = co_await stream_->read_some(std::span<char>(buffer));
      if (!count || *count == 0) co_return;
      if (nghttp2_session_mem_recv(session_, reinterpret_cast<const std::uint8_t*>(buffer.data()), *count) <
          0)
        co_return;
      wanted_.set();
    }
  }
  Task<void> transmit() {
    while (true) {
      wanted_.clear();
      std::string out;
      const std::uint8_t* bytes = nullptr;
      for (ssize_t count = 0; (count = nghttp2_session_mem_send(session_, &bytes)) > 0;)
        out.append(reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(count));
      out += std::exchange(raw_, {});
      if (out.empty()) {
        co_await wanted_.wait();
      } else if (!co_await stream_->write_all(std::string_view(out))) {
        co_return;
      }
    }
  }

  std::unique_ptr<ByteStream> stream_;
  Told told_;
  nghttp2_session* session_ = nullptr;
  std::string raw_;
  Signal wanted_;
  Scope scope_;  // last: its task uses the above
};

}  // namespace autoglm::http
