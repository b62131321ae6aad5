#pragma once

#include "base/result.h"
#include "redis/reply.h"
#include "runtime/byte_stream.h"
#include "runtime/event_loop.h"
#include "runtime/signal.h"
#include "runtime/task.h"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>

namespace autoglm::redis {

/// What becomes of a command's reply. Called once, on the command's loop, as late as the reply comes: with
/// what the server answered, be it an error of its own, or with the error that ended the connection. It may
/// send commands; it must not destroy the connection.
using OnReply = std::move_only_function<void(Result<Reply>)>;

/// When a command must leave.
enum class Haste : std::uint8_t {
  kNow,    ///< at the end of the loop's turn
  kLater,  ///< with the next command, or within a millisecond: a write costs more than a command
};

/// A connection to a Redis server, pipelined: commands are sent without waiting for earlier replies, those of
/// one turn of the loop in one write. Replies go to their commands in order, also those that nobody waits for
/// any longer. Loop thread only.
class Connection {
 public:
  static constexpr std::size_t kMostWaiting = 8192;
  static constexpr std::size_t kMostUnsent = std::size_t{4} << 20U;  ///< bytes

  explicit Connection(std::unique_ptr<ByteStream> stream) : stream_(std::move(stream)) {}
  /// Tells all commands without a reply.
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  /// False: too many commands wait for the server; `then` is left as it was.
  bool send(std::string_view command, OnReply& then, Haste haste = Haste::kNow);
  /// Commands without a reply.
  std::size_t waiting() const { return waiting_.size(); }

  /// Reads and writes until the connection ends; returns why. Once.
  Task<Error> run();

 private:
  Task<Error> read();
  Task<Error> write();

  std::unique_ptr<ByteStream> stream_;
  ReplyReader reader_;
  std::deque<OnReply> waiting_;
  std::string unsent_;
  Signal has_unsent_;
  Timer unhurried_{[this] { has_unsent_.set(); }};
  Error why_{.code = ErrorCode::kUnavailable, .message = "the connection to Redis was closed"};
};

}  // namespace autoglm::redis
