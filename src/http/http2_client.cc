#include "http/http2_client.h"

#include "http/http2_client_session.h"
#include "runtime/event_loop.h"
#include "runtime/race.h"
#include "runtime/write_watched.h"

#include <exception>
#include <utility>
#include <variant>

namespace autoglm::http {

namespace {

constexpr std::size_t kReadSize = std::size_t{16} << 10U;
constexpr std::size_t kMostUnsentOfCall = std::size_t{64} << 10U;
constexpr std::size_t kSentAtOnce = std::size_t{64} << 10U;

Error lost(std::string message, std::string_view reason = "connection_lost") {
  return Error{.code = ErrorCode::kUnavailable,
               .origin = Origin::kEndpoint,
               .retry = Retry::kElsewhere,
               .message = std::move(message),
               .reason = std::string(reason)};
}

Error broken(std::string message) {
  Error error = lost(std::move(message), kBrokenHttp2);
  error.code = ErrorCode::kBadGateway;
  return error;
}

}  // namespace

Http2Call::~Http2Call() { session_->abandon(*state_); }

Task<Result<void>> Http2Call::write(std::string_view bytes, bool last) {
  session_->send(*state_, bytes, last);
  while (true) {
    if (state_->error) co_return fail(*state_->error);
    if (state_->ended || state_->closed) co_return Result<void>();
    if (state_->unsent.size() - state_->sent <= kMostUnsentOfCall) co_return Result<void>();
    state_->taken.clear();
    co_await state_->taken.wait();
  }
}

Task<Result<void>> Http2Call::answered() {
  while (state_->status == 0) {
    if (state_->error) co_return fail(*state_->error);
    if (state_->ended) co_return fail(broken("the server's answer has no head"));
    state_->arrived.clear();
    co_await state_->arrived.wait();
  }
  co_return Result<void>();
}

Task<Result<std::size_t>> Http2Call::read(std::string& out) {
  while (true) {
    if (const std::size_t size = state_->body.size(); size > 0 && state_->status != 0) {
      session_->take(*state_, out);
      co_return size;
    }
    if (state_->error) co_return fail(*state_->error);
    if (state_->ended) co_return std::size_t{0};
    state_->arrived.clear();
    co_await state_->arrived.wait();
  }
}

int Http2Call::status() const { return state_->status; }
const Fields& Http2Call::headers() const { return state_->headers; }
const Fields& Http2Call::trailers() const { return state_->trailers; }

Http2Client::Http2Client(std::unique_ptr<ByteStream> stream, Limits limits)
    : limits_(limits), stream_(std::move(stream)), session_(std::make_shared<Http2ClientSession>(limits)) {
  scope_.spawn(run());
}

Http2Client::~Http2Client() {
  scope_.cancel();
  session_->end(lost("the connection has been closed"));
}

Task<Result<std::unique_ptr<Http2Client>>> Http2Client::connect(BlockingPool& names, Target target,
                                                                Deadline deadline, Limits limits) {
  auto stream = co_await tcp_connect(names, target.host, deadline);
  if (stream && target.tls)
    stream =
        co_await tls_connect(target.tls, std::move(*stream),
                             target.tls_name.empty() ? target.host.host : target.tls_name, deadline, "h2");
  if (!stream) {
    Error error = std::move(stream).error();
    if (error.reason.empty()) error.reason = "connect_failed";
    co_return fail(std::move(error));
  }
  co_return std::make_unique<Http2Client>(std::move(*stream), limits);
}

Result<std::unique_ptr<Http2Call>> Http2Client::call(const Http2Head& head, bool whole) {
  auto state = session_->begin(head, whole);
  if (!state)
    return fail(
        lost(session_->why() ? session_->why()->message : "the server takes no more calls", kCallRefused));
  return std::unique_ptr<Http2Call>(new Http2Call(session_, std::move(state)));
}

bool Http2Client::usable() const { return session_->usable(); }
std::size_t Http2Client::calls() const { return session_->calls(); }
std::size_t Http2Client::most_calls() const { return session_->most_calls(); }

Task<Result<void>> Http2Client::ping(Deadline deadline) {
  if (session_->why()) co_return fail(*session_->why());
  co_return co_await with_deadline(
      deadline,
      [](std::shared_ptr<Http2ClientSession> session, std::uint64_t number) -> Task<Result<void>> {
        while (session->pings_answered < number && !session->why()) {
          session->pong.clear();
          co_await session->pong.wait();
        }
        if (session->pings_answered < number) co_return fail(*session->why());
        co_return Result<void>();
      }(session_, session_->ping()),
      "the answer to a ping");
}

Task<Error> Http2Client::ended() {
  const std::shared_ptr<Http2ClientSession> session = session_;
  co_await session->over_signal.wait();
  co_return *session->why();
}

Task<void> Http2Client::run() {
  Error why;
  try {
    auto outcome = co_await first_of(receive(), transmit());
    why = outcome.index() == 0 ? std::get<0>(std::move(outcome)) : std::get<1>(std::move(outcome));
  } catch (const std::exception& exception) {  // memory is short: calls must not wait for ever
    why = lost(exception.what());
    why.code = ErrorCode::kInternal;
  }
  stream_->close();
  session_->end(std::move(why));
}

Task<Error> Http2Client::receive() {
  std::string buffer(kReadSize, '\0');
  while (true) {
    const auto count = co_await stream_->read_some(std::span(buffer));
    if (!count) co_return lost(count.error().message);
    if (*count == 0) co_return lost("the server has closed the connection");
    if (!session_->receive(std::string_view(buffer).substr(0, *count))) {
      co_return broken("the server's bytes cannot be taken as HTTP/2");
    }
    session_->wanted.set();
    if (*count == buffer.size()) co_await yield_to_loop();  // the input may never run dry
  }
}

Task<Error> Http2Client::transmit() {
  std::string out;
  while (true) {
    session_->wanted.clear();
    out.clear();
    if (!session_->transmit(out, kSentAtOnce)) co_return lost("HTTP/2 cannot go on");
    if (out.empty()) {
      if (session_->over()) co_return lost("the server has ended the connection");
      co_await session_->wanted.wait();
      continue;
    }
    const std::string_view parts[] = {out};
    const auto written = co_await WriteWatched(*stream_, parts, limits_.write_stall, "sending");
    if (!written) co_return lost(written.error().message);
  }
}

}  // namespace autoglm::http
