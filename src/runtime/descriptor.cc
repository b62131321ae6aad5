#include "runtime/descriptor.h"

#include "runtime/event_loop_core.h"

#include <sys/epoll.h>
#include <unistd.h>

#include <utility>

namespace autoglm {

Descriptor::Descriptor(EventLoop& loop, int fd) : fd_(fd) {
  epoll_event event{};
  event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
  event.data.ptr = this;
  if (fd_ >= 0 && ::epoll_ctl(loop.core().epoll, EPOLL_CTL_ADD, fd_, &event) != 0) close();
  readable.set();
  writable.set();
}

Descriptor::~Descriptor() {
  if (fd_ >= 0) ::close(fd_);
}

void Descriptor::close() {
  if (const int fd = std::exchange(fd_, -1); fd >= 0) ::close(fd);  // which also ends its watch
  peer_ended = true;
  readable.set();
  writable.set();
}

void Descriptor::mark(std::uint32_t events) {
  constexpr std::uint32_t kEnd = EPOLLRDHUP | EPOLLHUP | EPOLLERR;
  peer_ended |= (events & kEnd) != 0;
  if ((events & (EPOLLIN | kEnd)) != 0) readable.set();
  if ((events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0) writable.set();
}

}  // namespace autoglm
