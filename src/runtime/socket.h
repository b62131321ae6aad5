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
  /// Whether it is reachable from this machine only.
  bool is_loopback() const { return host.starts_with("127.") || host == "::1" || host == "localhost"; }
  friend bool operator==(const HostPort&, const HostPort&) = default;
};

/// A listening TCP socket of one loop. Loop thread only after creation; the destructor stops listening.
class TcpListener final : public Listener {
 public:
  /// Listens on `address` for `loop` alone, like a `ListenAddress` for one loop.
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

/// An address reserved for the loops of this process, which listen on it side by side (SO_REUSEPORT; the
/// kernel spreads the connections), and for no other process. The sockets listen from the beginning: a client
/// that connects before the loops run waits and is not refused. Any thread, but not concurrently; `listener`
/// may be called from the loops concurrently.
class ListenAddress {
 public:
  /// Port 0 takes a free port. Errors: kUnavailable when another socket listens there already, with advice on
  /// how to find its process; kInvalidArgument when `wanted` is not an IP address.
  static Result<ListenAddress> take(const HostPort& wanted, std::size_t loops);
  ListenAddress(ListenAddress&&) noexcept;
  ListenAddress& operator=(ListenAddress&&) noexcept;
  ~ListenAddress();

  /// With the actual port when port 0 was wanted.
  const HostPort& address() const { return address_; }
  /// The listener of loop number `index`, on that loop's thread. Once for each.
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
