#pragma once

#include <nghttp2/nghttp2.h>

#include <cstdint>
#include <list>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace autoglm::http {

/// The client's end, using nghttp2's own client.
class Http2TestClient {
 public:
  using Fields = std::vector<std::pair<std::string, std::string>>;
  struct Answer {
    std::string status;
    Fields fields;
    std::string body;
    bool ended = false;
    std::optional<std::uint32_t> reset;
  };

  Http2TestClient() {
    nghttp2_session_callbacks* callbacks = nullptr;
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_header_callback(
        callbacks,
        [](nghttp2_session*, const nghttp2_frame* frame, const std::uint8_t* name, std::size_t name_size,
           const std::uint8_t* value, std::size_t value_size, std::uint8_t, void* user) {
          Answer& answer = static_cast<Http2TestClient*>(user)->answers[frame->hd.stream_id];
          const std::string field(reinterpret_cast<const char*>(name), name_size);
          const std::string text(reinterpret_cast<const char*>(value), value_size);
          if (field == ":status") {
            answer.status += text;
          } else {
            answer.fields.emplace_back(field, text);
          }
          return 0;
        });
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(
        callbacks, [](nghttp2_session*, std::uint8_t, std::int32_t id, const std::uint8_t* data,
                      std::size_t size, void* user) {
          static_cast<Http2TestClient*>(user)->answers[id].body.append(reinterpret_cast<const char*>(data),
                                                                       size);
          return 0;
        });
    nghttp2_session_callbacks_set_on_frame_recv_callback(
        callbacks, [](nghttp2_session*, const nghttp2_frame* frame, void* user) {
          auto& self = *static_cast<Http2TestClient*>(user);
          if (frame->hd.type == NGHTTP2_GOAWAY) self.goaway = frame->goaway.error_code;
          if (frame->hd.type == NGHTTP2_RST_STREAM)
            self.answers[frame->hd.stream_id].reset = frame->rst_stream.error_code;
          if ((frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS) &&
              (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0)
            self.answers[frame->hd.stream_id].ended = true;
          return 0;
        });
    nghttp2_option* options = nullptr;
    nghttp2_option_new(&options);
    nghttp2_option_set_no_auto_window_update(options, 1);
    nghttp2_option_set_max_send_header_block_length(options, 16 * 1024 * 1024);
    nghttp2_option_set_peer_max_concurrent_streams(options, 100'000);
    nghttp2_session_client_new2(&session, callbacks, this, options);
    nghttp2_option_del(options);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, nullptr, 0);
  }
  ~Http2TestClient() { nghttp2_session_del(session); }
  Http2TestClient(const Http2TestClient&) = delete;
  Http2TestClient& operator=(const Http2TestClient&) = delete;

  /// `body` null: no body; otherwise `body` is sent, and ended if `whole`.
  std::int32_t request(const Fields& more, const std::string* body = nullptr, bool whole = true,
                       const std::string& method = "POST") {
    Fields fields = {
        {":method", method}, {":scheme", "http"}, {":path", "/echo?a=b"}, {":authority", "host"}};
    fields.insert(fields.end(), more.begin(), more.end());
    std::vector<nghttp2_nv> out;
    for (auto& [name, value] : fields)
      out.push_back({reinterpret_cast<std::uint8_t*>(name.data()),
                     reinterpret_cast<std::uint8_t*>(value.data()), name.size(), value.size(),
                     NGHTTP2_NV_FLAG_NONE});
    if (body == nullptr)
      return nghttp2_submit_request(session, nullptr, out.data(), out.size(), nullptr, nullptr);
    bodies.push_back({*body, whole});
    nghttp2_data_provider provider = {
        .source = {.ptr = &bodies.back()},
        .read_callback = [](nghttp2_session*, std::int32_t, std::uint8_t* to, std::size_t size,
                            std::uint32_t* flags, nghttp2_data_source* source, void*) -> ssize_t {
          auto& [rest, ends] = *static_cast<std::pair<std::string, bool>*>(source->ptr);
          const std::size_t count = rest.copy(reinterpret_cast<char*>(to), size);
          rest.erase(0, count);
          if (rest.empty() && ends) *flags |= NGHTTP2_DATA_FLAG_EOF;
          return count == 0 && !ends ? static_cast<ssize_t>(NGHTTP2_ERR_DEFERRED)
                                     : static_cast<ssize_t>(count);
        }};
    return nghttp2_submit_request(session, nullptr, out.data(), out.size(), &provider, nullptr);
  }

  /// Sets the initial window, per answer.
  void give_window(std::uint32_t bytes) {
    const nghttp2_settings_entry entry = {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, bytes};
    nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, &entry, 1);
  }
  /// Everything there is to send.
  std::string said() const {
    std::string bytes;
    while (true) {
      const std::uint8_t* part = nullptr;
      const ssize_t count = nghttp2_session_mem_send(session, &part);
      if (count <= 0) return bytes;
      bytes.append(reinterpret_cast<const char*>(part), static_cast<std::size_t>(count));
    }
  }
  /// A frame that nghttp2 would not send.
  static std::string window_update(std::int32_t id, std::uint32_t bytes) {
    std::string frame("\0\0\4\10\0", 5);
    for (const auto number : {static_cast<std::uint32_t>(id), bytes})
      for (int shift = 24; shift >= 0; shift -= 8) frame += static_cast<char>(number >> shift & 0xffU);
    return frame;
  }

  nghttp2_session* session = nullptr;
  std::map<std::int32_t, Answer> answers;
  std::optional<std::uint32_t> goaway;
  std::list<std::pair<std::string, bool>> bodies;
};

}  // namespace autoglm::http
