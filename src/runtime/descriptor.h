#pragma once

#include "runtime/byte_stream.h"
#include "runtime/event_loop.h"
#include "runtime/signal.h"

#include <cstdint>

namespace autoglm {

/// A file descriptor that a loop watches, registered once for its whole life, edge-triggered. For sources of
/// this room only; loop thread only.
///
/// Try first, wait then: `readable` and `writable` are levels that are believed until a call says EAGAIN and
/// the caller clears them; the kernel sets them again.
class Descriptor {
 public:
  /// Takes over `fd`, which does not block. What cannot be watched is closed: its calls fail with EBADF.
  Descriptor(EventLoop& loop, int fd);
  ~Descriptor();
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  int fd() const { return fd_; }
  /// Whoever waits is woken, and sees EBADF.
  void close();

  Signal readable;
  Signal writable;
  /// The peer has ended its side, or the connection is broken: a short read is no sign that nothing is left
  /// to read.
  bool peer_ended = false;
  StreamWatch* watch = nullptr;  ///< hears each time that `readable` is set by the kernel

 private:
  friend class EventLoop;
  void mark(std::uint32_t events);
  void end();

  int fd_;
  int epoll_;
};

}  // namespace autoglm
