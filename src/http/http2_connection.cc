#include "http/http2_connection.h"

#include "base/release.h"
#include "http/answering.h"
#include "http/request_body.h"
#include "runtime/race.h"
#include "runtime/write_watched.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

namespace autoglm::http {

namespace {

constexpr std::size_t kQuietRead = 2048;      // read buffer of a connection without requests
constexpr std::size_t kBusyRead = 16 * 1024;  // a frame
constexpr std::size_t kBatch = 32 * 1024;     // bytes sent at a time
constexpr Duration kGoodbye = std::chrono::seconds(2);

}  // namespace

/// One request and its answer.
class Server::Http2Connection::Exchange final : public Http2Stream,
                                                public ResponseWriter,
                                                public RequestBody {
 public:
  explicit Exchange(Http2Connection& connection) : connection_(connection) {
    request.peer = connection.stream_->peer();
    request.client_identity = connection.stream_->peer_identity();
    request.client_names = connection.stream_->peer_names();
  }

  void answer() override {
    ++connection_.server_.counts_.requests;
    begin(handle());
  }
  void refuse(Refusal refusal) override { begin(tell(std::move(refusal))); }
  void supplied(bool stalled) override {
    stalled_ = stalled;
    taken_.set();
  }
  bool done() const override { return task_.done(); }
  bool reads_pieces() override {
    if (!connection_.server_.handler_.reads_pieces(request)) return false;
    request.arriving = this;
    return true;
  }
  void arrived() override { arrived_.set(); }

  Task<Result<bool>> read_some(std::string& to) override;
  bool keep(std::size_t bytes) override { return Http2Session::keep(*this, bytes); }
  std::size_t most() const override { return connection_.server_.limits_.body_bytes; }

  Task<Result<void>> send(int status, std::string_view content_type, std::string_view body) override;
  Task<Result<void>> start(int status, std::string_view content_type) override;
  Task<Result<void>> write(std::string_view bytes) override;
  Task<Result<void>> finish() override;
  Task<Result<void>> finish_with(std::string_view bytes) override;
  void add_header(std::string_view name, std::string_view value) override;
  void add_trailer(std::string_view name, std::string_view value) override;
  bool started() const override { return started_; }
  std::uint64_t bytes_sent() const override { return bytes_sent_; }

 private:
  using Fields = std::vector<std::pair<std::string, std::string>>;

  static void append_field(Fields& fields, std::string_view name, std::string_view value);
  void begin(Task<void> task) {
    task_ = std::move(task);
    task_.start();
  }
  Task<void> handle();
  Task<void> tell(Refusal refusal);
  void respond(int status, std::string_view content_type, const std::size_t* length, bool has_body);
  Task<Result<void>> supply(std::string_view bytes, bool last);

  Http2Connection& connection_;
  Fields extra_headers_;
  bool started_ = false;
  bool finished_ = false;
  bool stalled_ = false;
  bool head_only_ = false;
  std::uint64_t bytes_sent_ = 0;
  Signal taken_;
  Signal arrived_;
  Task<void> task_;  // last: it uses all of the above
};

Task<void> Server::Http2Connection::Exchange::handle() {
  Handler& handler = connection_.server_.handler_;
  Refusal refusal{500, "the server has no answer to this request"};
  try {
    co_await handler.handle(request, *this);
  } catch (const std::bad_alloc&) {
    refusal = out_of_memory();
  } catch (...) {  // the task is its own root: there is no caller to catch this
    refusal.message = "the server failed on this request";
  }
  if (!started_) {
    if (refusal.status == 503) add_header("Retry-After", "1");
    const auto [body, type] = handler.refused(refusal, request.peer);
    co_await send(refusal.status, type, body);
  }
  connection_.session_.stop_reading(*this);
  release(request.body);
  body_share = {};
  connection_.wake();
  // A handler that ended inside its stream had a reason; the reset shows the client that the answer is cut.
  if (!finished_) connection_.session_.reset(*this);
}

Task<void> Server::Http2Connection::Exchange::tell(Refusal refusal) {
  ++connection_.server_.counts_.refused;
  const auto [body, type] = connection_.server_.handler_.refused(refusal, request.peer);
  if (refusal.status == 503) add_header("Retry-After", "1");
  if (!co_await send(refusal.status, type, body)) connection_.session_.reset(*this);
  connection_.wake();
}

Task<Result<bool>> Server::Http2Connection::Exchange::read_some(std::string& to) {
  while (true) {
    if (lost()) co_return fail(ErrorCode::kUnavailable, no_body_memory().message);
    if (!request.body.empty()) break;
    if (whole()) co_return false;
    arrived_.clear();
    co_await arrived_.wait();
  }
  connection_.session_.take(*this, to);
  connection_.wake();  // there may be a window to give
  co_return true;
}

void Server::Http2Connection::Exchange::add_header(std::string_view name, std::string_view value) {
  append_field(extra_headers_, name, value);
}

void Server::Http2Connection::Exchange::add_trailer(std::string_view name, std::string_view value) {
  append_field(trailers, name, value);
}

void Server::Http2Connection::Exchange::append_field(Fields& fields, std::string_view name,
                                                     std::string_view value) {
  auto& [lower_name, text] = fields.emplace_back(name, value);
  for (char& c : lower_name)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  // Values may echo a client's input, which must not end the line.
  std::ranges::replace_if(text, [](char c) { return c == '\r' || c == '\n'; }, ' ');
}

void Server::Http2Connection::Exchange::respond(int status, std::string_view content_type,
                                                const std::size_t* length, bool has_body) {
  started_ = true;
  std::vector<HeaderField> fields;
  fields.reserve(4 + extra_headers_.size());
  const fmt::format_int code(status);
  fields.emplace_back(":status", std::string_view(code.data(), code.size()));
  if (!content_type.empty()) fields.emplace_back("content-type", content_type);
  const fmt::format_int size(length == nullptr ? 0 : *length);
  if (length != nullptr) fields.emplace_back("content-length", std::string_view(size.data(), size.size()));
  fields.emplace_back("date", date_now());
  for (const auto& [name, value] : extra_headers_) fields.emplace_back(name, value);
  connection_.session_.respond(*this, fields, has_body);
  connection_.wake();
}

Task<Result<void>> Server::Http2Connection::Exchange::send(int status, std::string_view content_type,
                                                           std::string_view body) {
  AUTOGLM_ASSERT(!started_, "an answer is sent once");
  if (ends_with_head(status)) body = {};
  const ServerLimits& limits = connection_.server_.limits_;
  BodyMemory::Share memory(limits.answer_memory.get());
  std::optional<std::string> shorter;
  const auto coding = wanted_coding(limits.compress_above, &request, content_type, body, *this);
  if (coding != ContentCoding::kIdentity) shorter = co_await packed(coding, body, memory, *this);
  if (shorter) body = *shorter;
  const std::size_t length = body.size();
  finished_ = true;
  head_only_ = request.method == "HEAD" || ends_with_head(status);
  const bool has_body = !head_only_ && !body.empty();
  respond(status, content_type, ends_with_head(status) ? nullptr : &length, has_body);
  if (!has_body) co_return {};
  co_return co_await supply(body, true);
}

Task<Result<void>> Server::Http2Connection::Exchange::start(int status, std::string_view content_type) {
  AUTOGLM_ASSERT(!started_, "an answer is sent once");
  head_only_ = request.method == "HEAD" || ends_with_head(status);
  respond(status, content_type, nullptr, !head_only_);
  co_return {};
}

Task<Result<void>> Server::Http2Connection::Exchange::write(std::string_view bytes) {
  AUTOGLM_ASSERT(started_ && !finished_, "write belongs between start and finish");
  if (bytes.empty() || head_only_) co_return {};
  co_return co_await supply(bytes, false);
}

Task<Result<void>> Server::Http2Connection::Exchange::finish() {
  AUTOGLM_ASSERT(started_ && !finished_, "finish belongs behind start");
  finished_ = true;
  if (head_only_) co_return {};
  connection_.session_.supply(*this, {}, true);
  connection_.wake();
  co_return {};
}

/// In one piece: otherwise the end would go out a turn of the loop later, in a packet of its own.
Task<Result<void>> Server::Http2Connection::Exchange::finish_with(std::string_view bytes) {
  if (bytes.empty() || head_only_) co_return co_await finish();
  AUTOGLM_ASSERT(started_ && !finished_, "finish belongs behind start");
  finished_ = true;
  co_return co_await supply(bytes, true);
}

/// Waits until the connection has taken all of `bytes`.
Task<Result<void>> Server::Http2Connection::Exchange::supply(std::string_view bytes, bool last) {
  struct Withdrawal {
    Exchange& exchange;
    ~Withdrawal() { Http2Session::withdraw(exchange); }
  } withdrawal{*this};
  taken_.clear();
  connection_.session_.supply(*this, bytes, last);
  connection_.wake();
  co_await taken_.wait();
  if (stalled_) {
    finished_ = false;
    co_return fail(ErrorCode::kDeadlineExceeded, "sending the answer took too long");
  }
  bytes_sent_ += bytes.size();
  co_return {};
}

Server::Http2Connection::Http2Connection(Server& server, std::unique_ptr<ByteStream> stream)
    : Connection(server),
      stream_(std::move(stream)),
      timer_([this] {
        session_.expire(std::chrono::steady_clock::now());
        watch_time();
        wake();
      }),
      session_(server.limits_, [this] { return std::make_unique<Exchange>(*this); }) {}

void Server::Http2Connection::drain() {
  if (!session_.served()) return;
  session_.drain();
  wake();
}

Task<void> Server::Http2Connection::run(std::string begun) {
  watch_time();
  co_await first_of(receive(std::move(begun)), transmit());
  // A client that sent nonsense and closed at once is still owed the reason.
  if (!sending_) co_await say_the_rest();
  session_.abandon();
  co_await linger(*stream_);
}

/// Ends when the peer has left, or the session cannot go on.
Task<void> Server::Http2Connection::receive(std::string begun) {
  bool going_on = session_.receive(begun);
  begun = std::string(kQuietRead, '\0');
  while (going_on) {
    watch_time();
    wake();
    const auto count = co_await stream_->read_some(std::span(begun));
    if (!count || *count == 0) co_return;
    going_on = session_.receive(std::string_view(begun).substr(0, *count));
    if (*count == begun.size()) {
      begun.resize(kBusyRead);
      co_await yield_to_loop();  // the input may never run dry
    } else if (session_.streams() == 0 && begun.size() > kQuietRead) {
      begun = std::string(kQuietRead, '\0');
    }
  }
}

/// Ends when everything has been sent, or the peer reads no more.
Task<void> Server::Http2Connection::transmit() {
  std::string out;
  while (true) {
    wanted_.clear();
    out.clear();
    if (!session_.transmit(out, kBatch)) co_return;
    if (out.empty()) {
      if (session_.ended() && !session_.finishing()) co_return;
      if (session_.streams() == 0) {
        release(out);
        if (server_.draining_ && session_.served() && session_.drain()) continue;
      }
      co_await wanted_.wait();
      continue;
    }
    const std::string_view parts[] = {out};
    sending_ = true;
    const auto written = co_await WriteWatched(*stream_, parts, server_.limits_.write_stall, "sending");
    if (!written) co_return;
    sending_ = false;
    watch_time();
  }
}

Task<void> Server::Http2Connection::say_the_rest() {
  std::string out;
  if (!session_.transmit(out, kBatch) || out.empty()) co_return;
  const std::string_view parts[] = {out};
  co_await with_deadline(Deadline::after(kGoodbye), stream_->write_all(parts), "closing");
}

/// Arms the timer if it would otherwise fire too late.
void Server::Http2Connection::watch_time() {
  const MonotonicTime next = session_.next_expiry();
  if (next == MonotonicTime::max() || (timer_.armed() && timer_.at() <= next)) return;
  timer_.arm(next);
}

}  // namespace autoglm::http
