#include "redis/connection.h"

#include "runtime/race.h"

#include <array>
#include <chrono>
#include <utility>
#include <variant>

namespace autoglm::redis {

Connection::~Connection() {
  while (!waiting_.empty()) {
    OnReply then = std::move(waiting_.front());
    waiting_.pop_front();
    then(fail(why_));
  }
}

bool Connection::send(std::string_view command, OnReply& then, Haste haste) {
  if (waiting_.size() >= kMostWaiting || unsent_.size() + command.size() > kMostUnsent) return false;
  waiting_.push_back(std::move(then));
  unsent_.append(command);
  if (haste == Haste::kNow) {
    has_unsent_.set();
  } else if (!unhurried_.armed()) {
    unhurried_.arm(std::chrono::steady_clock::now() + std::chrono::milliseconds(1));
  }
  return true;
}

Task<Error> Connection::run() {
  auto ended = co_await first_of(read(), write());
  why_ = std::visit([](Error& error) { return std::move(error); }, ended);
  co_return why_;
}

Task<Error> Connection::read() {
  std::array<char, 16384> buffer;
  while (true) {
    const auto count = co_await stream_->read_some(buffer);
    if (!count) co_return count.error();
    if (*count == 0) {
      co_return Error{.code = ErrorCode::kUnavailable,
                      .origin = Origin::kEndpoint,
                      .message = stream_->peer() + " has closed the connection"};
    }
    if (auto fed = reader_.feed({buffer.data(), *count}); !fed) co_return fed.error();
    while (true) {
      auto reply = reader_.next();
      if (!reply) co_return reply.error();
      if (!*reply) break;
      if (waiting_.empty()) {
        co_return Error{.code = ErrorCode::kBadGateway,
                        .origin = Origin::kEndpoint,
                        .message = stream_->peer() + " has sent a reply to no command"};
      }
      OnReply then = std::move(waiting_.front());
      waiting_.pop_front();
      then(std::move(**reply));
    }
  }
}

Task<Error> Connection::write() {
  while (true) {
    if (unsent_.empty()) {
      has_unsent_.clear();
      co_await has_unsent_.wait();
    }
    unhurried_.cancel();
    const std::string sent = std::exchange(unsent_, {});
    if (auto written = co_await stream_->write_all(std::string_view(sent)); !written)
      co_return written.error();
  }
}

}  // namespace autoglm::redis
