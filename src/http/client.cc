#include "http/client.h"

#include "http/head_parser.h"
#include "http/tunnel.h"
#include "runtime/race.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>

namespace autoglm::http {

namespace {

constexpr std::size_t kMaxStreamReadSize = 8 * 1024;  // what is read is held while a client reads slowly
constexpr std::size_t kKeptOrigins = 64;

Error endpoint_error(ErrorCode code, std::string message) {
  return Error{
      .code = code, .origin = Origin::kEndpoint, .retry = Retry::kElsewhere, .message = std::move(message)};
}

std::string write_head(const ClientRequest& request) {
  std::string head;
  head.reserve(512);
  head.append(request.method).append(" ");
  // A proxy is told all of the address, but for what goes through a tunnel.
  if (request.proxy && !request.url.tls) head.append("http://").append(request.url.authority());
  head.append(request.url.target).append(" HTTP/1.1\r\n");
  head.append(request.origin->lines.text()).append(request.headers.text());
  if (!request.body.empty() || request.method == "POST" || request.method == "PUT") {
    const fmt::format_int length(request.body.size());
    head.append("Content-Length: ").append(length.data(), length.size()).append("\r\n");
  }
  head += "\r\n";
  return head;
}

}  // namespace

OriginHead ClientRequest::origin_head() const {
  OriginHead made{.key = url.origin(), .lines = {}};
  if (tls) made.key += fmt::format(" {} {}", tls->id(), tls_name);
  if (proxy) made.key += " via " + proxy->host.to_string();
  made.lines.add("Host", url.authority());
  if (proxy && !url.tls && !proxy->authorization.empty())
    made.lines.add("Proxy-Authorization", proxy->authorization);
  // What passes through must be readable on its way.
  if (!headers.has("accept-encoding")) made.lines.add("Accept-Encoding", "identity");
  return made;
}

ClientResponse::ClientResponse(Client& client, std::shared_ptr<const OriginHead> origin,
                               Duration read_timeout)
    : client_(client), origin_(std::move(origin)), read_timeout_(read_timeout) {}

ClientResponse::~ClientResponse() {
  // Only a connection that stands exactly between two messages can serve another one.
  if (done_ && head_.keep_alive && buffer_.empty() && stream_)
    client_.give_back(origin_->key, std::move(stream_), reuse_until_);
}

Error ClientResponse::cut_off() const {
  return endpoint_error(ErrorCode::kBadGateway,
                        fmt::format("{} ended its answer before it was complete", origin()));
}

/// Most chunked answers come in small pieces over a long time, thousands at once.
void ClientResponse::expect_a_stream() {
  read_size_ = 512;
  max_read_size_ = kMaxStreamReadSize;
  if (buffer_.size() <= read_size_) std::string(buffer_).swap(buffer_);
}

Task<Result<std::size_t>> ClientResponse::fill() {
  // The room for the read is given back on every way out, cancellation included.
  struct Room {
    std::string& buffer;
    std::size_t used;
    ~Room() { buffer.resize(used); }
  } room{buffer_, buffer_.size()};
  buffer_.resize_and_overwrite(room.used + read_size_,
                               [](char* /*bytes*/, std::size_t length) { return length; });
  auto count = co_await with_deadline(Deadline::after(read_timeout_),
                                      stream_->read_some(std::span(buffer_).subspan(room.used)),
                                      "reading the endpoint's answer");
  if (count) room.used += *count;
  if (count && *count == read_size_) read_size_ = std::min(2 * read_size_, max_read_size_);
  co_return count;
}

Task<Result<std::size_t>> ClientResponse::read(std::string& out) {
  using Kind = BodyFraming::Kind;
  const std::size_t before = out.size();
  while (!done_) {
    if (head_.framing.kind == Kind::kNone || (head_.framing.kind == Kind::kLength && left_ == 0)) {
      done_ = true;
      break;
    }
    if (buffer_.empty()) {
      const auto count = co_await fill();
      if (!count) co_return fail(count.error());
      if (*count == 0) {
        if (head_.framing.kind != Kind::kUntilClose) co_return fail(cut_off());
        done_ = true;
        break;
      }
    }
    if (head_.framing.kind == Kind::kChunked) {
      const auto used = chunks_.decode(buffer_, out);
      if (!used)
        co_return fail(
            endpoint_error(ErrorCode::kBadGateway, fmt::format("{}: {}", origin(), used.error().message)));
      buffer_.erase(0, *used);
      done_ = chunks_.done();
    } else {
      const std::size_t step = head_.framing.kind == Kind::kLength
                                   ? static_cast<std::size_t>(std::min<std::uint64_t>(left_, buffer_.size()))
                                   : buffer_.size();
      out.append(buffer_, 0, step);
      buffer_.erase(0, step);
      left_ -= head_.framing.kind == Kind::kLength ? step : 0;
      done_ = head_.framing.kind == Kind::kLength && left_ == 0;
    }
    if (out.size() > before) break;
  }
  co_return out.size() - before;
}

Task<Result<std::string>> ClientResponse::read_all(std::size_t limit) {
  std::string body;
  while (true) {
    const auto count = co_await read(body);
    if (!count) co_return fail(count.error());
    if (*count == 0) co_return body;
    if (body.size() > limit) {
      co_return fail(endpoint_error(ErrorCode::kPayloadTooLarge,
                                    fmt::format("{} answered with more than {} bytes", origin(), limit)));
    }
  }
}

Client::Client(BlockingPool& pool, std::shared_ptr<const TlsClientContext> tls, Limits limits)
    : pool_(pool), tls_(std::move(tls)), limits_(limits) {}

Task<Result<std::unique_ptr<ClientResponse>>> Client::send(ClientRequest request) {
  if (!request.origin) request.origin = std::make_shared<const OriginHead>(request.origin_head());
  if (auto kept = request.dialer ? Idle() : take_idle(request.origin->key); kept.stream) {
    bool any_byte = false;
    auto response = co_await exchange(request, std::move(kept), any_byte);
    // The other side may close a kept connection at any time: that is no failure of the request.
    if (response || any_byte || response.error().code == ErrorCode::kDeadlineExceeded) co_return response;
  }
  auto stream = co_await connect(request);
  if (!stream) {
    if (stream.error().reason != kOutOfSockets) stream.error().reason = "connect_failed";
    co_return fail(std::move(stream).error());
  }
  bool any_byte = false;
  const Duration reuse_time = request.dialer ? Duration::zero() : request.reuse_time;
  const MonotonicTime reuse_until = loop_time() + reuse_time;
  auto response = co_await exchange(request, {std::move(*stream), reuse_until, reuse_until}, any_byte);
  if (!response && !any_byte && response.error().code != ErrorCode::kDeadlineExceeded)
    response.error().reason = "connection_lost";
  co_return response;
}

Task<Result<std::unique_ptr<ClientResponse>>> Client::exchange(const ClientRequest& request, Idle connection,
                                                               bool& any_byte) {
  std::unique_ptr<ClientResponse> response(new ClientResponse(*this, request.origin, request.read_timeout));
  response->stream_ = std::move(connection.stream);
  response->reuse_until_ = connection.reuse_until;
  const Deadline deadline = Deadline::after(request.head_timeout);
  const std::string head = write_head(request);
  const std::string_view parts[] = {head, request.body};
  if (auto written =
          co_await with_deadline(deadline, response->stream_->write_all(parts), "sending the request");
      !written) {
    co_return fail(written.error());
  }
  HeadScanner scanner(limits_.head.bytes);
  while (true) {
    const auto length = scanner.scan(response->buffer_);
    if (!length)
      co_return fail(endpoint_error(ErrorCode::kBadGateway,
                                    fmt::format("{}: {}", response->origin(), length.error().message)));
    if (*length) {
      std::string bytes = response->buffer_.substr(0, **length);
      response->buffer_.erase(0, **length);
      scanner.reset();
      response->head_.headers = {};
      auto parsed = parse_response_head(std::move(bytes), request.method, limits_.head, response->head_);
      if (!parsed)
        co_return fail(endpoint_error(ErrorCode::kBadGateway,
                                      fmt::format("{}: {}", response->origin(), parsed.error().message)));
      if (response->head_.status / 100 == 1) continue;  // interim answers, such as 100 Continue
      response->left_ = response->head_.framing.length;
      if (response->head_.framing.kind == BodyFraming::Kind::kChunked) response->expect_a_stream();
      co_return response;
    }
    auto count = co_await with_deadline(deadline, response->fill(), "waiting for the endpoint's answer");
    if (!count) co_return fail(std::move(count).error());
    if (*count == 0) co_return fail(response->cut_off());
    any_byte = true;
  }
}

Task<Result<std::unique_ptr<ByteStream>>> Client::connect(const ClientRequest& request) {
  const Deadline deadline = Deadline::after(request.connect_timeout);
  if (request.dialer) co_return co_await request.dialer->dial(deadline);
  auto stream = co_await tcp_connect(pool_, request.proxy ? request.proxy->host : request.url.host, deadline);
  if (!stream || !request.url.tls) co_return stream;
  if (request.proxy) {
    const auto through = co_await open_tunnel(**stream, request.url.host, *request.proxy, deadline);
    if (!through) co_return fail(through.error());
  }
  const auto& tls = request.tls ? request.tls : tls_;
  if (!tls)
    co_return fail(endpoint_error(ErrorCode::kUnavailable,
                                  "TLS is not set up, so " + request.url.origin() + " cannot be asked"));
  co_return co_await tls_connect(
      tls, std::move(*stream), request.tls_name.empty() ? request.url.host.host : request.tls_name, deadline);
}

Task<Result<void>> Client::probe(ClientRequest request) {
  auto stream = co_await connect(request);
  if (!stream) {
    if (stream.error().reason != kOutOfSockets) stream.error().reason = "connect_failed";
    co_return fail(std::move(stream).error());
  }
  co_return Result<void>();
}

Client::Idle Client::take_idle(const std::string& key) {
  const auto found = idle_.find(key);
  if (found == idle_.end()) return {};
  Idle taken;
  const auto now = loop_time();
  // The one used last is the one most likely to be open still; the oldest age out at the front.
  auto& kept = found->second;
  while (!kept.empty() && taken.stream == nullptr) {
    if (kept.back().until > now) taken = std::move(kept.back());
    kept.pop_back();
  }
  // The places of the few servers that are asked again and again stay.
  if (kept.empty() && idle_.size() > kKeptOrigins) idle_.erase(found);
  return taken;
}

void Client::give_back(const std::string& key, std::unique_ptr<ByteStream> stream,
                       MonotonicTime reuse_until) {
  const auto now = loop_time();
  if (reuse_until <= now) return;
  auto& idle = idle_[key];
  const MonotonicTime until = std::min(now + limits_.idle_time, reuse_until);
  idle.push_back({std::move(stream), reuse_until, until});
  if (idle.size() > limits_.idle_per_origin) idle.erase(idle.begin());
  if (!closing_.armed() || until < closing_.at()) closing_.arm(until);
}

void Client::close_old() {
  const auto now = loop_time();
  MonotonicTime next = MonotonicTime::max();
  for (auto entry = idle_.begin(); entry != idle_.end();) {
    std::erase_if(entry->second, [now](const Idle& idle) { return idle.until <= now; });
    for (const Idle& idle : entry->second) next = std::min(next, idle.until);
    entry = entry->second.empty() ? idle_.erase(entry) : std::next(entry);
  }
  // Not for each one: some at a time.
  if (!idle_.empty()) closing_.arm(std::max(next, now + limits_.idle_time / 30));
}

std::size_t Client::idle_connections() const {
  std::size_t count = 0;
  for (const auto& [origin, idle] : idle_) count += idle.size();
  return count;
}

}  // namespace autoglm::http
