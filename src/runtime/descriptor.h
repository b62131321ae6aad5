#pragma once

#include "runtime/byte_stream.h"
#include "runtime/event_loop.h"
#include "runtime/signal.h"

#include <cstdint>

namespace autoglm {

/// A file descriptor that a loop watches, registered once for its whole life, edge-triggered. For sources of
/// this room only; loop thread only.
///
/// Try first, then wait: `readable` and `writable` stay set until a call says EAGAIN and the caller clears
/// them; the kernel sets them again.
class Descriptor {
 public:
  /// Takes over `fd`, which must be non-blocking. If it cannot be watched, it is closed: calls fail with
  /// EBADF.
  Descriptor(EventLoop& loop, int fd);
  ~Descriptor();
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  int fd() const { return fd_; }
  /// Wakes the waiters, which see EBADF.
  void close();

  Signal readable;
  Signal writable;
  /// The peer has ended its side, or the connection is broken: a short read then does not mean that the input
  /// is used up.
  bool peer_ended = false;
  StreamWatch* watch = nullptr;  ///< is told each time the kernel sets `readable`

 private:
  friend class EventLoop;
  void mark(std::uint32_t events);
  void end();

  int fd_;
  int epoll_;
};

}  // namespace autoglm
