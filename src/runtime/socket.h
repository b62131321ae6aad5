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
  friend bool operator==(const HostPort&, const HostPort&) = default;
};

/// A listening TCP socket of one loop. Several loops may listen on one address (SO_REUSEPORT); the
/// kernel spreads the connections. Loop thread only after creation; the destructor stops listening.
class TcpListener final : public Listener {
 public:
  /// Fails with kUnavailable "address in use" when another *process* listens there: the port is
  /// probed exclusively first, since SO_REUSEPORT alone would share it silently. `address.port` 0
  /// takes a free port. The probe is made by `probe_listen_address` once, before the loops start.
  static Result<std::unique_ptr<TcpListener>> create(EventLoop& loop, const HostPort& address);
  ~TcpListener() override;

  Task<Result<std::unique_ptr<ByteStream>>> accept() override;
  std::uint16_t port() const override;

 private:
  struct State;
  explicit TcpListener(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

/// Binds `address` exclusively and lets it go again: kUnavailable, saying who to look for, when it
/// is taken. Returns the address with the port that is free when it was 0.
Result<HostPort> probe_listen_address(const HostPort& address);

/// Resolves `target.host` on the pool and connects to the first of its addresses that answers.
/// Errors: kUnavailable (refused, unreachable, unknown host), kDeadlineExceeded.
Task<Result<std::unique_ptr<ByteStream>>> tcp_connect(BlockingPool& pool, HostPort target, Deadline deadline);

}  // namespace autoglm
