#pragma once

#include "base/clock.h"
#include "runtime/byte_stream.h"
#include "runtime/event_loop.h"

#include <boost/intrusive/list.hpp>

#include <cstddef>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace autoglm::http {

class IdleConnections;

/// A connection to an origin, which serves one exchange after another. Used by one loop.
class Connection final
    : private StreamWatch,
      public boost::intrusive::list_base_hook<boost::intrusive::link_mode<boost::intrusive::auto_unlink>> {
 public:
  Connection(std::unique_ptr<ByteStream> opened, MonotonicTime last_use)
      : stream(std::move(opened)), reuse_until(last_use) {}
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  const std::unique_ptr<ByteStream> stream;
  const MonotonicTime reuse_until;

 private:
  friend class IdleConnections;
  void stirred() override;
  bool quiet();

  // While it is idle:
  IdleConnections* keeper_ = nullptr;
  std::vector<std::unique_ptr<Connection>>* place_ = nullptr;
  MonotonicTime until_;
};

/// Idle connections, between two exchanges. Each is watched: bytes that arrive now were not asked for and
/// would be taken for the answer to the next request, so they close the connection, as the peer's end does.
/// Watching costs no system call: the loop receives every event anyway. Loop thread only.
class IdleConnections {
 public:
  /// Keeps at most `most` connections per origin, each for at most `time`.
  IdleConnections(std::size_t most, Duration time) : most_(most), time_(time) {}
  IdleConnections(const IdleConnections&) = delete;
  IdleConnections& operator=(const IdleConnections&) = delete;

  /// The connection used last, which is the most likely to be still open; null: there is none.
  std::unique_ptr<Connection> take(const std::string& origin);
  /// `connection` must stand exactly between two messages, as far as has been read.
  void keep(const std::string& origin, std::unique_ptr<Connection> connection);
  std::size_t size() const;

 private:
  friend class Connection;
  using Stirred = boost::intrusive::list<Connection, boost::intrusive::constant_time_size<false>>;

  void heard(Connection& connection);
  void close_stirred();
  void close_old();

  std::size_t most_;
  Duration time_;
  std::unordered_map<std::string, std::vector<std::unique_ptr<Connection>>>
      kept_;                                    // the one used last is at the end
  Stirred stirred_;                             // connections with an event that has not been looked at
  Timer looking_{[this] { close_stirred(); }};  // fires before any coroutine runs
  Timer closing_{[this] { close_old(); }};      // for connections that have been idle too long
};

}  // namespace autoglm::http
