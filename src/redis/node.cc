#include "redis/node.h"

#include "base/random.h"
#include "runtime/race.h"

#include <array>
#include <chrono>
#include <optional>
#include <utility>
#include <variant>

namespace autoglm::redis {

namespace {

using namespace std::chrono_literals;

constexpr Duration kFirstPause = 50ms;
constexpr Duration kLongestPause = 2s;
constexpr Duration kBetweenPings = 50ms;

/// Loops of many replicas lose a server at the same moment, and should not all come back at the same.
Duration jittered(Duration pause) {
  static thread_local Random random = Random::from_entropy();
  return Duration(
      static_cast<Duration::rep>(static_cast<double>(pause.count()) * (0.5 + random.uniform() / 2)));
}

}  // namespace

Node::Node(Dial dial, const Options& options, Told told)
    : dial_(std::move(dial)), options_(options), told_(std::move(told)) {
  scope_.spawn(run());
}

bool Node::send(std::string_view command, OnReply& then, Haste haste) {
  return connection_ && connection_->send(command, then, haste);
}

void Node::doubt() {
  if (connection_) doubted_.set();
}

void Node::look_again() { leaving_.set(); }

void Node::tell(bool is_up, std::string_view why) {
  if (std::exchange(told_up_, is_up) != is_up) told_(is_up, why);
}

Task<void> Node::run() {
  Duration pause = kFirstPause;
  while (true) {
    auto dialed = co_await dial_();
    if (dialed) {
      pause = kFirstPause;
      is_cluster_ = dialed->is_cluster;
      connection_ = std::make_unique<Connection>(std::move(dialed->stream));
      doubted_.clear();
      leaving_.clear();
      tell(true, "connected");
      const Error why = co_await serve();
      const std::unique_ptr<Connection> ended = std::exchange(connection_, nullptr);
      tell(false, why.message);
    } else {
      tell(false, dialed.error().message);
    }
    co_await sleep_for(jittered(pause));
    pause = std::min(pause * 2, kLongestPause);
  }
}

Task<Error> Node::serve() {
  auto ended = co_await first_of(connection_->run(), [](Node& self) -> Task<Error> {
    auto other = co_await first_of(self.probe(), self.left());
    co_return std::visit([](Error& error) { return std::move(error); }, other);
  }(*this));
  co_return std::visit([](Error& error) { return std::move(error); }, ended);
}

Task<Error> Node::left() {
  co_await leaving_.wait();
  co_return Error{.code = ErrorCode::kUnavailable, .message = "the server is not the master any longer"};
}

Task<Error> Node::probe() {
  while (true) {
    co_await doubted_.wait();
    const MonotonicTime begun = std::chrono::steady_clock::now();
    const auto answer = co_await with_deadline(Deadline(begun + options_.stall), ping(), "a PING");
    if (!answer) co_return answer.error();
    const bool answers = !answer->is_error() || answer->is_error("NOPERM");
    if (answers && std::chrono::steady_clock::now() - begun <= options_.timeout) {
      doubted_.clear();
      tell(true, "answers in time");
      continue;
    }
    tell(false, answers ? "answers too late" : std::string_view(answer->text));
    co_await sleep_for(kBetweenPings);
  }
}

Task<Result<Reply>> Node::ping() {
  struct Asked {
    Signal done;
    std::optional<Result<Reply>> reply;
  };
  static const std::string command = format_command(std::array<std::string_view, 1>{"PING"});
  auto asked = std::make_shared<Asked>();
  OnReply then = [asked](Result<Reply> reply) {
    asked->reply = std::move(reply);
    asked->done.set();
  };
  if (!connection_->send(command, then))
    co_return fail(ErrorCode::kResourceExhausted, "too many commands wait for Redis");
  co_await asked->done.wait();
  co_return std::move(*asked->reply);
}

}  // namespace autoglm::redis
