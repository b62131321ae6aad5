#pragma once

#include "redis/reply.h"
#include "runtime/event_loop.h"
#include "runtime/listener.h"
#include "runtime/scope.h"
#include "runtime/socket.h"
#include "runtime/task.h"

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace autoglm::redis {

/// A server whose answers a test writes. On the loop that makes it.
class FakeRedis {
 public:
  using Words = std::vector<std::string>;
  /// The bytes that answer a command; nothing: it is not answered (yet).
  using Answer = std::function<std::optional<std::string>(const Words&)>;

  explicit FakeRedis(Answer answer)
      : answer_(std::move(answer)),
        listener_(TcpListener::create(EventLoop::current(), {"127.0.0.1", 0}).value()) {
    scope_.spawn(accept());
  }

  HostPort address() const { return {"127.0.0.1", listener_->port()}; }
  /// All commands so far, HELLO among them.
  const std::vector<Words>& heard() const { return heard_; }
  std::size_t count(std::string_view command) const {
    std::size_t found = 0;
    for (const Words& words : heard_) found += words.front() == command ? 1U : 0U;
    return found;
  }
  std::size_t connections() const { return accepted_; }
  void answer_by(Answer answer) { answer_ = std::move(answer); }
  /// Sends bytes to the client that came last.
  Task<void> say(std::string bytes) {
    static_cast<void>(co_await streams_.back()->write_all(std::string_view(bytes)));
  }
  void hang_up() {
    for (auto& stream : streams_) stream->close();
  }

 private:
  Task<void> accept() {
    while (true) {
      auto stream = co_await listener_->accept();
      if (!stream) co_return;
      ++accepted_;
      streams_.push_back(std::move(*stream));
      scope_.spawn(serve(*streams_.back()));
    }
  }

  Task<void> serve(ByteStream& stream) {
    ReplyReader reader;  // a command is written as an array of strings is
    char buffer[4096];
    while (true) {
      const auto count = co_await stream.read_some(buffer);
      if (!count || *count == 0) co_return;
      static_cast<void>(reader.feed({buffer, *count}));
      while (auto command = reader.next().value()) {
        Words words;
        for (Reply& word : command->elements) words.push_back(std::move(word.text));
        heard_.push_back(words);
        const auto answer = answer_(words);
        if (answer && !co_await stream.write_all(std::string_view(*answer))) co_return;
      }
    }
  }

  Answer answer_;
  std::unique_ptr<TcpListener> listener_;
  std::size_t accepted_ = 0;
  std::vector<Words> heard_;
  std::vector<std::unique_ptr<ByteStream>> streams_;
  Scope scope_;
};

}  // namespace autoglm::redis
