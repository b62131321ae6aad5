#include "runtime/socket_stream.h"

#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <system_error>

namespace autoglm {

namespace {

// Without this limit, a reader as fast as the writer would never let other coroutines run.
constexpr std::size_t kMostAtOnce = std::size_t{256} * 1024;

}  // namespace

Error connection_error(std::string_view what, int error) {
  if (error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM) {
    return Error{.code = ErrorCode::kUnavailable,
                 .retry = Retry::kLater,
                 .message = std::string(what) + ": " + std::system_category().message(error) +
                            "; raise this server's limits (ulimit -n, LimitNOFILE)",
                 .reason = std::string(kOutOfSockets),
                 .retry_after = std::chrono::seconds(1)};
  }
  return Error{.code = ErrorCode::kUnavailable,
               .origin = Origin::kEndpoint,
               .retry = Retry::kElsewhere,
               .message = std::string(what) + ": " + std::system_category().message(error)};
}

Socket::~Socket() {
  if (fd_ >= 0) ::close(fd_);
}

SocketStream::SocketStream(int fd, std::string peer)
    : descriptor_(EventLoop::current(), fd), peer_(std::move(peer)) {
  // Frames of a stream are small and must leave at once. Unix sockets refuse the option; they never wait.
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

Task<int> SocketStream::connected() {
  descriptor_.writable.clear();
  co_await descriptor_.writable.wait();
  int error = 0;
  socklen_t length = sizeof error;
  co_return ::getsockopt(descriptor_.fd(), SOL_SOCKET, SO_ERROR, &error, &length) == 0 ? error : errno;
}

Task<Result<std::size_t>> SocketStream::read_some(std::span<char> buffer) {
  while (true) {
    if (!descriptor_.readable.is_set()) co_await descriptor_.readable.wait();
    const ssize_t count = ::recv(descriptor_.fd(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (count >= 0) {
      // A read shorter than the buffer: nothing is left, and the next call would only return EAGAIN.
      if (static_cast<std::size_t>(count) < buffer.size() && !descriptor_.peer_ended)
        descriptor_.readable.clear();
      co_return static_cast<std::size_t>(count);
    }
    if (errno == EINTR) continue;
    if (!would_block(errno)) co_return fail(connection_error("reading from " + peer_, errno));
    descriptor_.readable.clear();
  }
}

Task<Result<void>> SocketStream::write_all(std::span<const std::string_view> parts) {
  std::size_t first = 0;   // the part being sent
  std::size_t offset = 0;  // how many of its bytes have been sent
  while (true) {
    while (first < parts.size() && offset == parts[first].size()) {
      ++first;
      offset = 0;
    }
    if (first == parts.size()) co_return {};
    if (!descriptor_.writable.is_set()) {
      co_await descriptor_.writable.wait();
      sent_at_once_ = 0;
    } else if (sent_at_once_ >= kMostAtOnce) {
      co_await yield_to_loop();
      sent_at_once_ = 0;
    }
    const ssize_t sent = send_some(parts, first, offset);
    if (sent >= 0) {
      auto left = static_cast<std::size_t>(sent);
      sent_ += left;
      sent_at_once_ += left;
      while (left > 0) {
        const std::size_t step = std::min(left, parts[first].size() - offset);
        offset += step;
        left -= step;
        if (offset == parts[first].size() && left > 0) {
          ++first;
          offset = 0;
        }
      }
      continue;
    }
    if (errno == EINTR) continue;
    if (!would_block(errno)) co_return fail(connection_error("writing to " + peer_, errno));
    descriptor_.writable.clear();
  }
}

void SocketStream::watch(StreamWatch* watch) {
  descriptor_.watch = watch;
  if (watch != nullptr && descriptor_.readable.is_set()) watch->stirred();
}

/// Bytes the peer has acknowledged; on a Unix socket, bytes it has read.
std::uint64_t SocketStream::taken() const {
  int waiting = 0;
  if (::ioctl(descriptor_.fd(), SIOCOUTQ, &waiting) != 0) waiting = 0;
  return sent_ - static_cast<std::uint64_t>(waiting);
}

Task<Result<void>> SocketStream::shutdown_write() {
  ::shutdown(descriptor_.fd(), SHUT_WR);
  co_return {};
}

ssize_t SocketStream::send_some(std::span<const std::string_view> parts, std::size_t first,
                                std::size_t offset) {
  std::array<iovec, 16> vectors;
  std::size_t count = 0;
  std::size_t room = kMostAtOnce;
  for (std::size_t i = first; room > 0 && i < parts.size() && count < vectors.size(); ++i) {
    const std::string_view part = (i == first ? parts[i].substr(offset) : parts[i]).substr(0, room);
    if (part.empty()) continue;
    // iovec serves reading and writing, so it is not const; sendmsg only reads.
    vectors[count++] = {const_cast<char*>(part.data()), part.size()};
    room -= part.size();
  }
  msghdr message{};
  message.msg_iov = vectors.data();
  message.msg_iovlen = count;
  return ::sendmsg(descriptor_.fd(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

}  // namespace autoglm
