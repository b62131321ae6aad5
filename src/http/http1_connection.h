#pragma once

#include "http/connection.h"
#include "http/header_lines.h"

#include <optional>
#include <string>
#include <utility>

namespace autoglm::http {

/// HTTP/1.x on one connection: reads requests and lets the handler answer them in order. Its `run` is one
/// coroutine; it is also the ResponseWriter of the current request.
class Server::Http1Connection final : public Connection, public ResponseWriter {
 public:
  Http1Connection(Server& server, std::unique_ptr<ByteStream> stream);

  Task<void> run();
  bool idle() const override { return idle_; }
  void drain() override;
  /// Tells the client why it is not served, whatever it asked.
  Task<void> turn_away(Refusal refusal) { co_await refuse(std::move(refusal)); }

  Task<Result<void>> send(int status, std::string_view content_type, std::string_view body) override;
  Task<Result<void>> start(int status, std::string_view content_type) override;
  Task<Result<void>> write(std::string_view bytes) override;
  Task<Result<void>> finish() override;
  void add_header(std::string_view name, std::string_view value) override;
  bool started() const override { return started_; }
  std::uint64_t bytes_sent() const override { return bytes_sent_; }

 private:
  enum class Next : std::uint8_t { kClose, kKeepAlive, kHttp2 };
  static constexpr std::size_t kReadSize = 2048;  // enough for most chats

  Task<Next> serve_one();
  // Steps that do not last for a whole request have their own frames: inlined, they would enlarge the frame
  // that lives as long as a stream.
  /// kKeepAlive when there is a request, kClose when the peer ends the connection between two requests.
  [[gnu::noinline]] Task<Parsed<Next>> read_head(Request& request);
  [[gnu::noinline]] Task<Parsed<void>> read_body(Request& request);
  /// Room for `least` bytes is made at a time, doubling, and none beyond a buffer of `most`.
  Task<Parsed<std::size_t>> fill(Deadline deadline, const char* what, std::size_t least = kReadSize,
                                 std::size_t most = SIZE_MAX);
  Task<void> answer(Request& request);
  Task<void> watch_peer();
  [[gnu::noinline]] Task<void> peer_left();
  [[gnu::noinline]] Task<void> refuse(Refusal refusal);
  void begin_answer(const Request& request);
  void append_head(int status, std::string_view content_type, std::size_t length, bool chunked);
  Task<Result<void>> write_guarded(std::span<const std::string_view> parts);

  std::unique_ptr<ByteStream> stream_;
  std::string buffer_;  // read but not yet used
  HeadScanner scanner_;
  BodyMemory::Share body_share_;   // of the current request
  BodyMemory::Share ahead_share_;  // of the requests read ahead
  bool idle_ = true;
  bool served_ = false;  // at least one request

  // Of the current answer:
  HeaderLines extra_headers_;
  std::string head_;
  const Request* request_ = nullptr;
  bool head_only_ = false;  // the answer ends with its head
  bool http10_ = false;
  bool keep_alive_ = false;
  bool started_ = false;
  bool finished_ = false;
  bool chunked_ = false;
  std::uint64_t bytes_sent_ = 0;
};

}  // namespace autoglm::http
