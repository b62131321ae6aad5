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

/// A connection to an origin, which serves one exchange after another. Of one loop.
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

  // While it is kept:
  IdleConnections* keeper_ = nullptr;
  std::vector<std::unique_ptr<Connection>>* place_ = nullptr;
  MonotonicTime until_;
};

/// Connections between two exchanges. Each is watched: what arrives then was asked for by nobody, and would
/// be taken for the answer to whoever asks next, so it closes the connection, as the peer's end does. To
/// watch costs no call of the kernel: the loop hears of every event anyway. Loop thread only.
class IdleConnections {
 public:
  /// Of each origin at most `most`, each at most for `time`.
  IdleConnections(std::size_t most, Duration time) : most_(most), time_(time) {}
  IdleConnections(const IdleConnections&) = delete;
  IdleConnections& operator=(const IdleConnections&) = delete;

  /// The one used last, which is the one most likely to be open still; null: there is none.
  std::unique_ptr<Connection> take(const std::string& origin);
  /// `connection` stands exactly between two messages, as far as anybody has read.
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
      kept_;                                    // the one used last at the end
  Stirred stirred_;                             // of which something was heard that nobody has looked at
  Timer looking_{[this] { close_stirred(); }};  // fires before any coroutine runs
  Timer closing_{[this] { close_old(); }};      // of connections that nobody asks for any more
};

}  // namespace autoglm::http
