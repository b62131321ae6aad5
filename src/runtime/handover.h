#pragma once

#include "runtime/dialer.h"
#include "runtime/listener.h"
#include "runtime/socket_stream.h"

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace autoglm {

/// Connections to another process of this machine, without an address: both ends of each are made here, and
/// one is handed over through a socket that the two processes share. Nobody else can connect, nothing is left
/// in any folder, and the end of either process ends it. Messages come back the same way.
///
/// This is the end that connects. Thread-safe.
class HandoverDialer final : public Dialer {
 public:
  /// Takes over `fd`, one of `make_handover`; `name` is what the connections' peer is called.
  HandoverDialer(int fd, std::string name) : socket_(fd), name_(std::move(name)) {}

  /// Errors: kUnavailable, also when the other side is gone; kDeadlineExceeded when it does not take what it
  /// was given before.
  Task<Result<std::unique_ptr<ByteStream>>> dial(Deadline deadline) override;

  /// The other side has ended.
  bool gone() const;
  /// Tells it to end.
  void hang_up() const;
  /// The next message that has come, without waiting.
  std::optional<std::string> take_message() const;
  /// To wait for messages, and for the end.
  int fd() const { return socket_.fd(); }

 private:
  Socket socket_;
  std::string name_;
};

/// The end that is connected to. Loop thread only.
class HandoverListener final : public Listener {
 public:
  /// Takes over `fd`. `on_end` is called, once, from within a task, when the other side is gone or hung up.
  HandoverListener(EventLoop& loop, int fd, std::function<void()> on_end);
  ~HandoverListener() override;

  Task<Result<std::unique_ptr<ByteStream>>> accept() override;
  /// Sends a message of at most some 100 KiB. False: the other side has not read those before.
  bool tell(std::string_view message);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Both ends; neither blocks. Errors: no descriptors left.
Result<std::pair<Socket, Socket>> make_handover();

}  // namespace autoglm
