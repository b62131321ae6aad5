#pragma once

#include "runtime/byte_stream.h"
#include "runtime/listener.h"
#include "runtime/signal.h"

#include <cstdint>
#include <cstring>
#include <memory>
#include <queue>
#include <string>
#include <utility>

namespace autoglm::fuzzing {

/// What one side of a connection has sent and the other side has not read.
struct Way {
  std::string bytes;
  bool over = false;
  Signal stirred;
  StreamWatch* watch = nullptr;

  void send(std::string_view more) {
    bytes += more;
    stir();
  }
  void end() {
    over = true;
    stir();
  }

 private:
  void stir() {
    stirred.set();
    if (watch != nullptr) watch->stirred();
  }
};

/// Both directions of a connection in memory, without a socket.
struct Connection {
  Way to_server;
  Way to_client;
  bool gone = false;  ///< the client reads no more
};

/// The server's end.
class MemoryStream final : public ByteStream {
 public:
  explicit MemoryStream(std::shared_ptr<Connection> connection) : connection_(std::move(connection)) {}
  ~MemoryStream() override { close(); }

  Task<Result<std::size_t>> read_some(std::span<char> buffer) override {
    Way& way = connection_->to_server;
    while (way.bytes.empty() && !way.over) {
      way.stirred.clear();
      co_await way.stirred.wait();
    }
    const std::size_t count = std::min(buffer.size(), way.bytes.size());
    std::memcpy(buffer.data(), way.bytes.data(), count);
    way.bytes.erase(0, count);
    co_return count;
  }
  Task<Result<void>> write_all(std::span<const std::string_view> parts) override {
    if (connection_->gone || connection_->to_client.over) {
      co_return fail(Error{
          .code = ErrorCode::kUnavailable, .origin = Origin::kEndpoint, .message = "the connection is gone"});
    }
    for (const std::string_view part : parts) {
      connection_->to_client.send(part);
      taken_ += part.size();
    }
    co_return Result<void>();
  }
  void watch(StreamWatch* watch) override {
    Way& way = connection_->to_server;
    way.watch = watch;
    if (watch != nullptr && (!way.bytes.empty() || way.over)) watch->stirred();
  }
  bool peer_ended() const override { return connection_->to_server.over; }
  std::uint64_t taken() const override { return taken_; }
  Task<Result<void>> shutdown_write() override {
    connection_->to_client.end();
    co_return Result<void>();
  }
  void close() override {
    connection_->to_server.watch = nullptr;
    connection_->to_server.end();
    connection_->to_client.end();
  }
  const std::string& peer() const override { return peer_; }

 private:
  std::shared_ptr<Connection> connection_;
  std::uint64_t taken_ = 0;
  std::string peer_ = "127.0.0.1:1";
};

/// Accepts the connections that `connect` has made.
class MemoryListener final : public Listener {
 public:
  struct Queue {
    std::queue<std::shared_ptr<Connection>> waiting;
    Signal stirred;
  };
  explicit MemoryListener(std::shared_ptr<Queue> queue) : queue_(std::move(queue)) {}

  Task<Result<std::unique_ptr<ByteStream>>> accept() override {
    while (queue_->waiting.empty()) {
      queue_->stirred.clear();
      co_await queue_->stirred.wait();
    }
    auto connection = std::move(queue_->waiting.front());
    queue_->waiting.pop();
    co_return std::make_unique<MemoryStream>(std::move(connection));
  }

  static std::shared_ptr<Connection> connect(Queue& queue) {
    auto connection = std::make_shared<Connection>();
    queue.waiting.push(connection);
    queue.stirred.set();
    return connection;
  }

 private:
  std::shared_ptr<Queue> queue_;
};

}  // namespace autoglm::fuzzing
