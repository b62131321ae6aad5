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

/// Connections to another process of this machine, without an address: both ends of each connection are made
/// here, and one end is handed over through a socket that the two processes share. No third process can
/// connect, no file is left behind, and the end of either process closes the socket. Messages come back the
/// same way.
///
/// This is the end that connects. Thread-safe.
class HandoverDialer final : public Dialer {
 public:
  /// Takes over `fd`, one of `make_handover`'s; `name` is reported as the connections' peer.
  HandoverDialer(int fd, std::string name) : socket_(fd), name_(std::move(name)) {}

  /// Errors: kUnavailable, also when the other process is gone; kDeadlineExceeded when it does not take the
  /// connections handed over before.
  Task<Result<std::unique_ptr<ByteStream>>> dial(Deadline deadline) override;

  /// Whether the other process has ended.
  bool gone() const;
  /// Tells the other process to end.
  void hang_up() const;
  /// The next message that has arrived, without waiting.
  std::optional<std::string> take_message() const;
  /// For polling: readable when a message or the end has arrived.
  int fd() const { return socket_.fd(); }

 private:
  Socket socket_;
  std::string name_;
};

/// The end that accepts. Loop thread only.
class HandoverListener final : public Listener {
 public:
  /// Takes over `fd`. `on_end` is called once, from within a task, when the other process ends or hangs up.
  HandoverListener(EventLoop& loop, int fd, std::function<void()> on_end);
  ~HandoverListener() override;

  Task<Result<std::unique_ptr<ByteStream>>> accept() override;
  /// Sends a message of at most some 100 KiB. False: the other process has not read the earlier ones.
  bool tell(std::string_view message);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Both ends, non-blocking. Errors: no descriptors left.
Result<std::pair<Socket, Socket>> make_handover();

}  // namespace autoglm
