#include "http/client.h"

#include "http/head_parser.h"
#include "http/tunnel.h"
#include "runtime/race.h"
#include "runtime/scope.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace autoglm::http {

namespace {

// A peer's kernel accepts this much even if the peer reads nothing.
constexpr std::size_t kTakenUnread = 16 * 1024;
constexpr std::size_t kMostAtOnce = std::size_t{256} * 1024;
constexpr std::size_t kUnpackingStep =
    512;  // as many bytes take as long to read as a step that unpacks nothing
constexpr std::size_t kMaxStreamReadSize = 8 * 1024;  // the bytes are held while a client reads slowly

Error endpoint_error(ErrorCode code, std::string message) {
  return Error{
      .code = code, .origin = Origin::kEndpoint, .retry = Retry::kElsewhere, .message = std::move(message)};
}

constexpr std::string_view kInterim = "HTTP/1.1 1";  // the beginning of an interim answer
constexpr unsigned kMaxInterim = 100;                // per answer; more would not help and might never end

/// Whether the bytes of an answer received so far may turn out to be an interim one.
bool may_be_interim(std::string_view answer) {
  const std::size_t known = std::min(answer.size(), kInterim.size());
  return answer.substr(0, known) == kInterim.substr(0, known);
}

// Full reads in a row before the loop runs other tasks.
constexpr unsigned kFullReads = 16;

/// A separate task, so that its frame is not part of every read's.
Task<void> let_others_run() { co_await yield_to_loop(); }

/// A connection's failure is the endpoint's, unless this process lacks a resource.
Error not_ours(Error error) {
  if (error.origin == Origin::kLocal && error.reason.empty()) {
    error.origin = Origin::kEndpoint;
    error.retry = Retry::kElsewhere;
  }
  return error;
}

Error not_connected(Error error) {
  error = not_ours(std::move(error));
  if (error.origin == Origin::kEndpoint) error.reason = "connect_failed";
  return error;
}

std::string write_head(const ClientRequest& request) {
  std::string head;
  head.reserve(512);
  head.append(request.method) += ' ';
  // A proxy gets the full URL, except through a tunnel.
  if (request.proxy && !request.url.tls) head.append("http://").append(request.url.authority());
  head.append(request.url.target).append(" HTTP/1.1\r\n");
  head.append(request.origin->lines.text()).append(request.headers.text());
  const std::size_t size = request.content().size();
  if (size > 0 || request.method == "POST" || request.method == "PUT") {
    const fmt::format_int length(size);
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
  // The gateway must be able to read what passes through.
  if (!headers.has("accept-encoding")) made.lines.add("Accept-Encoding", "identity");
  return made;
}

ClientResponse::ClientResponse(Client& client, std::shared_ptr<const OriginHead> origin,
                               Duration read_timeout)
    : client_(client), origin_(std::move(origin)), read_timeout_(read_timeout) {}

ClientResponse::~ClientResponse() {
  // Only a connection that stands exactly between two messages can serve another exchange.
  if (done_ && head_.keep_alive && asked_whole_ && buffer_.empty() && connection_)
    client_.idle_.keep(origin_->key, std::move(connection_));
}

Error ClientResponse::cut_off() const {
  return endpoint_error(ErrorCode::kBadGateway,
                        fmt::format("{} ended its answer before it was complete", origin()));
}

/// Most chunked answers come in small pieces over a long time, thousands of them at once.
void ClientResponse::expect_a_stream() {
  read_size_ = 512;
  max_read_size_ = kMaxStreamReadSize;
  if (buffer_.size() <= read_size_) std::string(buffer_).swap(buffer_);
}

Task<Result<std::size_t>> ClientResponse::fill() {
  // The buffer shrinks back on every way out, cancellation included.
  struct Room {
    std::string& buffer;
    std::size_t used;
    ~Room() { buffer.resize(used); }
  } room{buffer_, buffer_.size()};
  buffer_.resize_and_overwrite(room.used + read_size_,
                               [](char* /*bytes*/, std::size_t length) { return length; });
  auto count = co_await with_deadline(Deadline::after(read_timeout_),
                                      connection_->stream->read_some(std::span(buffer_).subspan(room.used)),
                                      "reading the endpoint's answer");
  if (count) room.used += *count;
  const bool more = count && *count == read_size_;
  if (more) read_size_ = std::min(2 * read_size_, max_read_size_);
  // A server that sends without pause must leave the loop to other tasks.
  full_reads_ = more ? full_reads_ + 1 : 0;
  if (more && full_reads_ % kFullReads == 0) co_await let_others_run();
  co_return count;
}

Result<void> ClientResponse::unpack() {
  std::string codings;
  for (const auto& [name, value] : head_.headers.fields()) {
    if (!equals_ignoring_case(name, "content-encoding")) continue;
    if (!codings.empty()) codings += ", ";  // several fields are one list
    codings += value;
  }
  const auto coding = coding_of(codings);
  if (!coding) {
    return fail(endpoint_error(ErrorCode::kBadGateway,
                               fmt::format("{} packed its answer in a way that is unknown here", origin())));
  }
  unpacker_ = Decoder::create(*coding);
  return {};
}

Task<Result<std::size_t>> ClientResponse::read(std::string& out) {
  return unpacker_ ? read_unpacked(out) : read_bytes(out);
}

/// Input that a step does not use stays in `packed_`, so that a cancelled read loses nothing.
Task<Result<std::size_t>> ClientResponse::read_unpacked(std::string& out) {
  const std::size_t before = out.size();
  while (true) {
    // A few compressed bytes may decompress to many, and many to none.
    if (read_at_once_ >= kMostAtOnce) {
      read_at_once_ = 0;
      co_await yield_to_loop();
    }
    const std::string_view packed = std::string_view(packed_).substr(unpacked_);
    std::string_view rest = packed;
    const bool good = unpacker_->take(rest, out);
    const std::size_t used = packed.size() - rest.size();
    unpacked_ += used;
    read_at_once_ += std::max(kUnpackingStep, used + out.size() - before);
    if (!good) {
      co_return fail(endpoint_error(ErrorCode::kBadGateway,
                                    fmt::format("{} sent an answer that cannot be unpacked", origin())));
    }
    if (out.size() > before) co_return out.size() - before;
    if (used > 0 && !rest.empty()) continue;
    packed_.erase(0, std::exchange(unpacked_, 0));
    auto count = co_await read_bytes(packed_);
    if (!count) co_return count;
    if (*count == 0 && !unpacker_->done()) co_return fail(cut_off());
    if (*count == 0) co_return std::size_t{0};
  }
}

Task<Result<std::size_t>> ClientResponse::read_bytes(std::string& out) {
  using Kind = BodyFraming::Kind;
  const std::size_t before = out.size();
  while (!done_) {
    if (head_.framing.kind == Kind::kNone || (head_.framing.kind == Kind::kLength && left_ == 0)) {
      done_ = true;
      break;
    }
    if (buffer_.empty()) {
      // A server as fast as this client would never make it wait.
      if (read_at_once_ >= kMostAtOnce) {
        read_at_once_ = 0;
        co_await yield_to_loop();
      }
      auto count = co_await fill();
      read_at_once_ += count.value_or(0);
      if (!count) co_return fail(not_ours(std::move(count).error()));
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

Task<Result<std::string>> ClientResponse::read_all(std::size_t limit, Deadline deadline) {
  std::string body;
  while (true) {
    auto count = co_await with_deadline(deadline, read(body), "reading the endpoint's answer");
    if (!count) co_return fail(not_ours(std::move(count).error()));
    if (*count == 0) co_return body;
    if (body.size() > limit) {
      co_return fail(endpoint_error(ErrorCode::kPayloadTooLarge,
                                    fmt::format("{} answered with more than {} bytes", origin(), limit)));
    }
  }
}

Client::Client(BlockingPool& pool, std::shared_ptr<const TlsClientContext> tls, Limits limits)
    : pool_(pool), tls_(std::move(tls)), limits_(limits), idle_(limits.idle_per_origin, limits.idle_time) {}

Task<Result<std::unique_ptr<ClientResponse>>> Client::send(ClientRequest request) {
  if (!request.origin) request.origin = std::make_shared<const OriginHead>(request.origin_head());
  if (auto kept = request.dialer ? nullptr : idle_.take(request.origin->key)) {
    bool any_byte = false;
    auto response = co_await exchange(request, std::move(kept), any_byte);
    if (response || any_byte || response.error().code == ErrorCode::kDeadlineExceeded) co_return response;
    if (request.method != "GET") {
      response.error().reason = "connection_lost";
      co_return response;
    }
  }
  auto stream = co_await connect(request);
  if (!stream) co_return fail(not_connected(std::move(stream).error()));
  bool any_byte = false;
  const Duration reuse_time = request.dialer ? Duration::zero() : request.reuse_time;
  auto response = co_await exchange(
      request, std::make_unique<Connection>(std::move(*stream), loop_time() + reuse_time), any_byte);
  if (!response && !any_byte && response.error().code != ErrorCode::kDeadlineExceeded)
    response.error().reason = "connection_lost";
  co_return response;
}

Task<Result<std::unique_ptr<ClientResponse>>> Client::exchange(const ClientRequest& request,
                                                               std::unique_ptr<Connection> connection,
                                                               bool& any_byte) {
  std::unique_ptr<ClientResponse> response(new ClientResponse(*this, request.origin, request.read_timeout));
  response->connection_ = std::move(connection);
  const Deadline deadline = Deadline::after(request.head_timeout);
  const std::string head = write_head(request);
  const std::string_view parts[] = {head, request.content()};
  HeadScanner scanner(limits_.head.bytes);
  Result<void> written;
  if (request.content().size() <= kTakenUnread) {
    written = co_await with_deadline(deadline, response->connection_->stream->write_all(parts),
                                     "sending the request");
  } else {
    written = co_await with_deadline(deadline, send_and_listen(request, head, *response, scanner),
                                     "sending the request");
  }
  if (!written) {
    any_byte = response->any_byte();
    // The time is up, or what the server sent will not become an answer.
    if (written.error().code == ErrorCode::kDeadlineExceeded ||
        written.error().code == ErrorCode::kBadGateway)
      co_return fail(not_ours(std::move(written).error()));
    // A server that closes may have sent the reason before.
    response->asked_whole_ = false;
  }
  while (true) {
    any_byte |= response->any_byte();
    const auto complete = take_head(request, scanner, *response);
    if (!complete) co_return fail(complete.error());
    if (*complete) break;
    auto count = co_await with_deadline(deadline, response->fill(), "waiting for the endpoint's answer");
    if (count && *count > 0) continue;
    if (!written) co_return fail(not_ours(std::move(written).error()));
    if (!count) co_return fail(not_ours(std::move(count).error()));
    co_return fail(response->cut_off());
  }
  if (!response->asked_whole_ && response->status() / 100 == 2) {
    co_return fail(endpoint_error(ErrorCode::kBadGateway,
                                  fmt::format("{} answered before it had the request", response->origin())));
  }
  response->left_ = response->head_.framing.length;
  if (response->head_.framing.kind == BodyFraming::Kind::kChunked) response->expect_a_stream();
  co_return response;
}

/// Whether the head of the final answer is there; interim answers, such as 100 Continue, are skipped.
Result<bool> Client::take_head(const ClientRequest& request, HeadScanner& scanner,
                               ClientResponse& response) const {
  while (true) {
    const auto taken = take_one_head(request, scanner, response);
    if (!taken || !*taken) return taken;
    if (response.head_.status / 100 != 1) return true;
  }
}

Result<bool> Client::take_one_head(const ClientRequest& request, HeadScanner& scanner,
                                   ClientResponse& response) const {
  const auto broken = [&](std::string_view why) {
    return fail(endpoint_error(ErrorCode::kBadGateway, fmt::format("{}: {}", response.origin(), why)));
  };
  const auto length = scanner.scan(response.buffer_);
  if (!length) return broken(length.error().message);
  if (!*length) return false;
  std::string bytes = response.buffer_.substr(0, **length);
  response.buffer_.erase(0, **length);
  scanner.reset();
  response.head_.headers = {};
  auto parsed = parse_response_head(std::move(bytes), request.method, limits_.head, response.head_);
  if (!parsed) return broken(parsed.error().message);
  if (response.head_.status / 100 == 1 && ++response.interim_ > kMaxInterim)
    return broken("interim answers without end");
  return true;
}

/// Sends a request that the server may answer before it has read all of it: then the rest is not sent, and
/// the answer's bytes are in the response's buffer.
Task<Result<void>> Client::send_and_listen(const ClientRequest& request, std::string_view head,
                                           ClientResponse& response, HeadScanner& scanner) {
  struct Writing {
    std::optional<Result<void>> written;
    Signal ended;
  } writing;
  Scope scope;  // last: its task uses the above
  scope.spawn(
      [](ByteStream& stream, std::string_view first, std::string_view second, Writing& to) -> Task<void> {
        const std::string_view parts[] = {first, second};
        to.written = co_await stream.write_all(parts);
        to.ended.set();
      }(*response.connection_->stream, head, request.content(), writing));
  while (!writing.written) {
    auto first = co_await first_of(raised(writing.ended), response.fill());
    if (first.index() == 0) break;
    if (writing.written) break;  // at the same moment: these bytes answer the whole request
    auto& count = std::get<1>(first);
    if (count && *count > 0) {
      // Parsed at once: a server that sends only interim answers for a long time must not fill the memory.
      while (response.buffer_.starts_with(kInterim)) {
        const auto taken = take_one_head(request, scanner, response);
        if (!taken) co_return fail(taken.error());
        if (!*taken) break;
      }
      if (may_be_interim(response.buffer_)) continue;
      response.asked_whole_ = false;
      co_return Result<void>();
    }
    if (!count) co_return fail(std::move(count).error());
    co_return fail(response.cut_off());  // the server will not answer any more
  }
  co_return std::move(*writing.written);
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
  if (!stream) co_return fail(not_connected(std::move(stream).error()));
  co_return Result<void>();
}

}  // namespace autoglm::http
