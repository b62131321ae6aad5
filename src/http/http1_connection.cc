#include "http/http1_connection.h"

#include "base/release.h"
#include "http/answering.h"
#include "http/chunked.h"
#include "runtime/race.h"
#include "runtime/signal.h"
#include "runtime/write_watched.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <new>

namespace autoglm::http {

namespace {

// How HTTP/2 begins, as an HTTP/1 parser sees it.
constexpr std::string_view kHttp2Preface = "PRI * HTTP/2.0\r\n\r\n";
constexpr std::size_t kWatchSize = 256;
constexpr unsigned kInARow = 16;
constexpr std::size_t kLargeRead = std::size_t{64} * 1024;  // more may be ready at once, for a long time

}  // namespace

Server::Http1Connection::Http1Connection(Server& server, std::unique_ptr<ByteStream> stream)
    : Connection(server), stream_(std::move(stream)), scanner_(server.limits_.head.bytes) {}

void Server::Http1Connection::drain() {
  if (idle_ && served_) stream_->close();
}

Task<void> Server::Http1Connection::run() {
  Next next = Next::kKeepAlive;
  unsigned in_a_row = 0;  // requests that had arrived before the answer to the one before
  while (next == Next::kKeepAlive) {
    next = co_await serve_one();
    in_a_row = buffer_.empty() ? 0 : in_a_row + 1;
    // A client that pipelines thousands of requests must leave the loop to other tasks.
    if (in_a_row == kInARow) {
      in_a_row = 0;
      co_await yield_to_loop();
    }
  }
  if (next == Next::kHttp2) co_await server_.serve_http2(std::move(stream_), std::exchange(buffer_, {}));
}

Task<Server::Http1Connection::Next> Server::Http1Connection::serve_one() {
  Request request;
  request.peer = stream_->peer();
  request.client_identity = stream_->peer_identity();
  request.client_names = stream_->peer_names();
  const auto head = co_await read_head(request);
  if (!head) {
    co_await refuse(head.error());
    co_return Next::kClose;
  }
  if (*head == Next::kHttp2) co_return Next::kHttp2;
  if (*head == Next::kClose) {
    co_await end_writing(*stream_);
    co_return Next::kClose;
  }
  if (auto body = co_await read_body(request); !body) {
    co_await refuse(body.error());
    co_return Next::kClose;
  }
  ++server_.counts_.requests;
  served_ = true;
  begin_answer(request);

  const auto first = co_await first_of(answer(request), watch_peer());
  if (first.index() == 1) co_return Next::kClose;  // the peer is gone, and the handler's task with it
  release(request.body);
  body_share_ = {};
  // A handler that ended inside its stream had a reason: without a last chunk the client sees the cut.
  if (!finished_) co_return Next::kClose;
  // An answer that began before the drain has promised to keep the connection, so requests already read are
  // still answered.
  if (!keep_alive_ || (server_.draining_ && buffer_.empty())) {
    co_await linger(*stream_);
    co_return Next::kClose;
  }
  co_return Next::kKeepAlive;
}

Task<Parsed<Server::Http1Connection::Next>> Server::Http1Connection::read_head(Request& request) {
  scanner_.reset();
  std::size_t empty_lines = 0;
  idle_ = buffer_.empty();
  if (idle_) {  // nothing is left of the bytes read ahead
    if (buffer_.capacity() > BodyMemory::Share::kFree) release(buffer_);
    ahead_share_ = {};
  }
  Deadline deadline = Deadline::after(idle_ ? server_.limits_.idle_time : server_.limits_.header_time);
  while (true) {
    // RFC 9112 2.2: sloppy clients leave empty lines before a request line.
    for (; buffer_.starts_with("\r\n"); buffer_.erase(0, 2)) {
      if (++empty_lines > server_.limits_.head.empty_lines)
        co_return std::unexpected(Refusal{400, "too many empty lines before a request"});
    }
    const auto length = scanner_.scan(buffer_);
    if (!length) co_return std::unexpected(length.error());
    if (*length) {
      std::string head = buffer_.substr(0, **length);
      if (head == kHttp2Preface && !served_ && server_.limits_.http2_streams > 0) {
        idle_ = true;  // from here on the Http2Connection counts its requests
        co_return Next::kHttp2;
      }
      buffer_.erase(0, **length);
      auto parsed = parse_request_head(std::move(head), server_.limits_.head, request);
      if (!parsed) co_return std::unexpected(parsed.error());
      co_return Next::kKeepAlive;
    }
    const bool was_idle = idle_;
    const auto count = co_await fill(deadline, "the request's header");
    idle_ = false;
    if (was_idle) {
      if (!count || *count == 0) co_return Next::kClose;  // between requests the client is owed no answer
      deadline = Deadline::after(server_.limits_.header_time);
    }
    if (!count) co_return std::unexpected(count.error());
    if (*count == 0) co_return Next::kClose;
  }
}

Task<Parsed<void>> Server::Http1Connection::read_body(Request& request) {
  using Kind = BodyFraming::Kind;
  const std::size_t limit = server_.limits_.body_bytes;
  if (request.framing.kind == Kind::kNone) co_return {};
  if (request.framing.kind == Kind::kLength && request.framing.length > limit)
    co_return std::unexpected(body_too_large(limit));
  if (request.expects_continue && buffer_.empty()) {
    static constexpr std::string_view kContinue[] = {"HTTP/1.1 100 Continue\r\n\r\n"};
    if (!co_await write_guarded(kContinue)) co_return std::unexpected(Refusal{499, "the client went away"});
  }
  const Deadline deadline = Deadline::after(server_.limits_.body_time);
  body_share_ = BodyMemory::Share(server_.limits_.body_memory.get());
  // Memory grows by doubling: a client that only announces a body holds none.
  const std::size_t most = request.framing.kind == Kind::kLength ? request.framing.length : 2 * limit;
  const auto has_room = [&] {
    return body_share_.cover(std::min(most, 2 * (buffer_.size() + request.body.size())));
  };
  const auto cut = [] { return std::unexpected(Refusal{400, "the connection ended before the body did"}); };
  if (request.framing.kind == Kind::kLength) {
    const auto length = static_cast<std::size_t>(request.framing.length);
    while (buffer_.size() < length) {
      if (!has_room()) co_return std::unexpected(no_body_memory());
      const auto count = co_await fill(deadline, "the request's body", kReadSize, length);
      if (!count) co_return std::unexpected(count.error());
      if (*count == 0) co_return cut();
      if (*count >= kLargeRead) co_await yield_to_loop();
    }
    // A small body is copied: the buffer stays for the next request.
    if (buffer_.size() == length && length > kReadSize) {
      request.body = std::exchange(buffer_, {});
    } else {
      request.body = buffer_.substr(0, length);
      buffer_.erase(0, length);
    }
    co_return {};
  }
  ChunkedDecoder decoder;
  while (true) {
    Parsed<std::size_t> used = 0;
    try {
      used = decoder.decode(buffer_, request.body);
    } catch (const std::bad_alloc&) {
      used = std::unexpected(out_of_memory());
    }
    if (!used) co_return std::unexpected(used.error());
    buffer_.erase(0, *used);
    if (request.body.size() > limit) co_return std::unexpected(body_too_large(limit));
    if (decoder.done()) co_return {};
    if (!has_room()) co_return std::unexpected(no_body_memory());
    // Decoded bytes leave the buffer, so the buffer does not grow.
    const std::size_t size = request.body.size() < kLargeRead ? kReadSize : kLargeRead;
    const auto count = co_await fill(deadline, "the request's body", size);
    if (!count) co_return std::unexpected(count.error());
    if (*count == 0) co_return cut();
    if (*count >= kLargeRead) co_await yield_to_loop();
  }
}

/// Appends what arrives next to the buffer; 0 at the peer's end or on a broken connection.
Task<Parsed<std::size_t>> Server::Http1Connection::fill(Deadline deadline, const char* what,
                                                        std::size_t least, std::size_t most) {
  // The buffer shrinks back on every way out, cancellation included.
  struct Room {
    std::string& buffer;
    std::size_t used;
    ~Room() { buffer.resize(used); }
  } room{buffer_, buffer_.size()};
  // Large bodies grow by doubling.
  const std::size_t size = std::min(room.used + std::max(least, room.used), most);
  try {
    buffer_.resize_and_overwrite(size, [](char* /*bytes*/, std::size_t length) { return length; });
  } catch (const std::bad_alloc&) {
    co_return std::unexpected(out_of_memory());
  }
  auto count =
      co_await with_deadline(deadline, stream_->read_some(std::span(buffer_).subspan(room.used)), what);
  if (count) room.used += *count;
  if (!count && count.error().code == ErrorCode::kDeadlineExceeded) {
    co_return std::unexpected(Refusal{408, std::string(what) + " did not arrive in time"});
  }
  co_return count ? *count : 0;
}

Task<void> Server::Http1Connection::answer(Request& request) {
  Refusal refusal{500, "the server has no answer to this request"};
  try {
    co_await server_.handler_.handle(request, *this);
  } catch (const std::bad_alloc&) {
    refusal = out_of_memory();
  } catch (const std::exception&) {
    refusal.message = "the server failed on this request";
  }
  if (finished_ || started_) co_return;
  if (refusal.status == 503) add_header("Retry-After", "1");
  const auto [body, type] = server_.handler_.refused(refusal, stream_->peer());
  co_await send(refusal.status, type, body);
}

Task<void> Server::Http1Connection::watch_peer() {
  // Few clients send anything now, and a stream may be long.
  if (buffer_.empty()) release(buffer_);
  // The end of a client that has filled our buffers cannot be seen: reading more hides fewer ends.
  ahead_share_ = BodyMemory::Share(server_.limits_.body_memory.get());
  while (buffer_.size() < server_.limits_.pipelined_bytes && ahead_share_.cover(2 * buffer_.size())) {
    const auto count = co_await fill(Deadline::never(), "pipelined requests", kWatchSize);
    if (!count) break;
    if (*count == 0) co_return;
  }
  co_await peer_left();
}

/// Waits for the peer's end without reading: unread bytes wait for their turn.
Task<void> Server::Http1Connection::peer_left() {
  struct Watch final : StreamWatch {
    explicit Watch(ByteStream& watched) : stream(watched) { stream.watch(this); }
    ~Watch() { stream.watch(nullptr); }
    Watch(const Watch&) = delete;
    Watch& operator=(const Watch&) = delete;
    void stirred() override { news.set(); }
    ByteStream& stream;
    Signal news;
  } watch(*stream_);
  while (!stream_->peer_ended()) {
    co_await watch.news.wait();
    watch.news.clear();
  }
}

Task<void> Server::Http1Connection::refuse(Refusal refusal) {
  ++server_.counts_.refused;
  release(buffer_);  // it will not be used any more
  body_share_ = {};
  if (refusal.status == 499) co_return;
  const auto [body, type] = server_.handler_.refused(refusal, stream_->peer());
  extra_headers_.clear();
  request_ = nullptr;
  head_only_ = http10_ = keep_alive_ = started_ = finished_ = chunked_ = false;
  if (refusal.status == 503 || refusal.status == 429) add_header("Retry-After", "1");
  if (co_await send(refusal.status, type, body)) co_await linger(*stream_);
}

void Server::Http1Connection::begin_answer(const Request& request) {
  extra_headers_.clear();
  request_ = &request;
  head_only_ = request.method == "HEAD";
  http10_ = request.minor_version == 0;
  keep_alive_ = request.keep_alive;
  started_ = finished_ = chunked_ = false;
  bytes_sent_ = 0;
}

void Server::Http1Connection::add_header(std::string_view name, std::string_view value) {
  extra_headers_.add(name, value);
}

void Server::Http1Connection::append_head(int status, std::string_view content_type, std::size_t length,
                                          bool stream) {
  if (server_.draining_) keep_alive_ = false;
  head_.clear();
  const auto append_number = [this](std::size_t number) {
    const fmt::format_int digits(number);
    head_.append(digits.data(), digits.size());
  };
  head_ += "HTTP/1.1 ";
  append_number(static_cast<std::size_t>(status));
  head_.append(" ").append(reason_phrase(status)).append("\r\n");
  if (!content_type.empty()) head_.append("Content-Type: ").append(content_type).append("\r\n");
  if (ends_with_head(status)) {
    head_only_ = true;
  } else if (chunked_) {
    head_ += "Transfer-Encoding: chunked\r\n";
  } else if (!stream) {
    head_ += "Content-Length: ";
    append_number(length);
    head_ += "\r\n";
  }
  if (!keep_alive_) {
    head_ += "Connection: close\r\n";
  } else if (http10_) {
    head_ += "Connection: keep-alive\r\n";
  }
  head_.append("Date: ").append(date_now()).append("\r\n");
  head_ += extra_headers_.text();
  head_ += "\r\n";
}

Task<Result<void>> Server::Http1Connection::send(int status, std::string_view content_type,
                                                 std::string_view body) {
  AUTOGLM_ASSERT(!started_, "an answer is sent once");
  started_ = finished_ = true;
  if (ends_with_head(status)) body = {};
  BodyMemory::Share memory(server_.limits_.answer_memory.get());
  std::optional<std::string> shorter;
  const auto coding = wanted_coding(server_.limits_.compress_above, request_, content_type, body, *this);
  if (coding != ContentCoding::kIdentity) shorter = co_await packed(coding, body, memory, *this);
  if (shorter) body = *shorter;
  append_head(status, content_type, body.size(), false);
  const std::string_view parts[] = {head_, head_only_ ? std::string_view() : body};
  co_return co_await write_guarded(parts);
}

Task<Result<void>> Server::Http1Connection::start(int status, std::string_view content_type) {
  AUTOGLM_ASSERT(!started_, "an answer is sent once");
  started_ = true;
  chunked_ = !http10_;
  if (http10_) keep_alive_ = false;  // HTTP/1.0 marks the end of the body by closing
  append_head(status, content_type, 0, true);
  const std::string_view parts[] = {head_};
  co_return co_await write_guarded(parts);
}

Task<Result<void>> Server::Http1Connection::write(std::string_view bytes) {
  AUTOGLM_ASSERT(started_ && !finished_, "write belongs between start and finish");
  if (bytes.empty() || head_only_) co_return {};
  if (!chunked_) {
    const std::string_view parts[] = {bytes};
    co_return co_await write_guarded(parts);
  }
  std::array<char, 20> size;
  char* end = std::to_chars(size.data(), size.data() + 16, bytes.size(), 16).ptr;
  *end++ = '\r';
  *end++ = '\n';
  const std::string_view parts[] = {{size.data(), end}, bytes, "\r\n"};
  co_return co_await write_guarded(parts);
}

Task<Result<void>> Server::Http1Connection::finish() {
  AUTOGLM_ASSERT(started_ && !finished_, "finish belongs behind start");
  finished_ = true;
  if (!chunked_ || head_only_) co_return {};
  static constexpr std::string_view kLastChunk[] = {"0\r\n\r\n"};
  co_return co_await write_guarded(kLastChunk);
}

Task<Result<void>> Server::Http1Connection::write_guarded(std::span<const std::string_view> parts) {
  auto written = co_await WriteWatched(*stream_, parts, server_.limits_.write_stall, "sending the answer");
  if (written) {
    for (const std::string_view part : parts) bytes_sent_ += part.size();
  } else {
    stream_->close();  // how much has gone out is unknown
  }
  co_return written;
}

}  // namespace autoglm::http
