#pragma once

#include "base/result.h"
#include "runtime/blocking_pool.h"
#include "runtime/byte_stream.h"
#include "runtime/deadline.h"
#include "runtime/event_loop.h"
#include "runtime/listener.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace autoglm {

/// "host:port", as configuration writes it; IPv6 hosts in brackets.
struct HostPort {
  std::string host;
  std::uint16_t port = 0;

  std::string to_string() const;
  /// Whether only this machine reaches it.
  bool is_loopback() const { return host.starts_with("127.") || host == "::1" || host == "localhost"; }
  friend bool operator==(const HostPort&, const HostPort&) = default;
};

/// A listening TCP socket of one loop. Loop thread only after creation; the destructor stops listening.
class TcpListener final : public Listener {
 public:
  /// Listens on `address` for `loop` alone; as `ListenAddress` for one loop.
  static Result<std::unique_ptr<TcpListener>> create(EventLoop& loop, const HostPort& address);
  ~TcpListener() override;

  Task<Result<std::unique_ptr<ByteStream>>> accept() override;
  std::uint16_t port() const override;

 private:
  friend class ListenAddress;
  struct State;
  explicit TcpListener(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

class Socket;

/// An address taken for the loops of this process, which listen on it side by side (SO_REUSEPORT; the kernel
/// spreads the connections), and for nobody else. The sockets listen from the beginning: who connects before
/// the loops run waits and is not refused. Any thread, one at a time; `listener` from the loops, side by
/// side.
class ListenAddress {
 public:
  /// Port 0 takes a free one. Errors: kUnavailable, saying who to look for, when somebody listens there
  /// already, kInvalidArgument when `wanted` is no IP address.
  static Result<ListenAddress> take(const HostPort& wanted, std::size_t loops);
  ListenAddress(ListenAddress&&) noexcept;
  ListenAddress& operator=(ListenAddress&&) noexcept;
  ~ListenAddress();

  /// With the port that was free when it was 0.
  const HostPort& address() const { return address_; }
  /// The listener of the `index`th loop, on that loop's thread. Once each.
  std::unique_ptr<TcpListener> listener(EventLoop& loop, std::size_t index = 0);

 private:
  ListenAddress(HostPort address, std::vector<Socket> sockets);
  HostPort address_;
  std::vector<Socket> sockets_;
};

/// Resolves `target.host` on the pool and connects to the first of its addresses that answers.
/// Errors: kUnavailable (refused, unreachable, unknown host), kDeadlineExceeded.
Task<Result<std::unique_ptr<ByteStream>>> tcp_connect(BlockingPool& pool, HostPort target, Deadline deadline);

}  // namespace autoglm
