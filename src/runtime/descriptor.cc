#include "runtime/descriptor.h"

#include "runtime/event_loop_core.h"

#include <sys/epoll.h>
#include <unistd.h>

#include <utility>

namespace autoglm {

Descriptor::Descriptor(EventLoop& loop, int fd) : fd_(fd), epoll_(loop.core().epoll) {
  epoll_event event{};
  event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
  event.data.ptr = this;
  if (fd_ >= 0 && ::epoll_ctl(epoll_, EPOLL_CTL_ADD, fd_, &event) != 0) close();
  readable.set();
  writable.set();
}

Descriptor::~Descriptor() { end(); }

/// Closing alone would not end the watch if another process had the same socket: a process that is being
/// started has a copy of every descriptor until it executes, and a handed-over socket is shared with its
/// sender.
void Descriptor::end() {
  const int fd = std::exchange(fd_, -1);
  if (fd < 0) return;
  ::epoll_ctl(epoll_, EPOLL_CTL_DEL, fd, nullptr);
  ::close(fd);
}

void Descriptor::close() {
  end();
  peer_ended = true;
  readable.set();
  writable.set();
}

void Descriptor::mark(std::uint32_t events) {
  constexpr std::uint32_t kEnd = EPOLLRDHUP | EPOLLHUP | EPOLLERR;
  peer_ended |= (events & kEnd) != 0;
  if ((events & (EPOLLIN | kEnd)) != 0) {
    readable.set();
    if (watch != nullptr) watch->stirred();
  }
  if ((events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0) writable.set();
}

}  // namespace autoglm
