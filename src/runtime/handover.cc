#include "runtime/handover.h"

#include "runtime/event_loop.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstring>

namespace autoglm {

namespace {

constexpr std::size_t kMaxMessage = 128 * 1024;
// The other process is behind, or too many descriptors are in flight to it: the kernel reports neither's end.
constexpr Duration kAgainAfter = std::chrono::milliseconds(1);

Result<std::pair<Socket, Socket>> make_pair_of(int type) {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends.data()) != 0)
    return fail(connection_error("making a pair of sockets", errno));
  return std::pair(Socket(ends[0]), Socket(ends[1]));
}

/// A message of one byte, with room for a descriptor beside it.
struct DescriptorMessage {
  char byte = 0;
  iovec data{&byte, 1};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  msghdr head{};

  DescriptorMessage() {
    head.msg_iov = &data;
    head.msg_iovlen = 1;
    head.msg_control = control.data();
    head.msg_controllen = control.size();
  }
  DescriptorMessage(const DescriptorMessage&) = delete;
  DescriptorMessage& operator=(const DescriptorMessage&) = delete;
};

/// 0, or the errno.
int send_descriptor(int through, int descriptor) {
  DescriptorMessage message;
  cmsghdr* header = CMSG_FIRSTHDR(&message.head);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int));
  std::memcpy(CMSG_DATA(header), &descriptor, sizeof descriptor);
  while (::sendmsg(through, &message.head, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
    if (errno != EINTR) return errno;
  }
  return 0;
}

struct Received {
  ssize_t count = 0;
  int descriptor = -1;
};

Received receive_descriptor(int through) {
  DescriptorMessage message;
  Received received{.count = ::recvmsg(through, &message.head, MSG_CMSG_CLOEXEC | MSG_DONTWAIT)};
  const cmsghdr* header = received.count > 0 ? CMSG_FIRSTHDR(&message.head) : nullptr;
  if (header != nullptr && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS)
    std::memcpy(&received.descriptor, CMSG_DATA(header), sizeof received.descriptor);
  return received;
}

}  // namespace

Result<std::pair<Socket, Socket>> make_handover() { return make_pair_of(SOCK_SEQPACKET); }

Task<Result<std::unique_ptr<ByteStream>>> HandoverDialer::dial(Deadline deadline) {
  auto ends = make_pair_of(SOCK_STREAM);
  if (!ends) co_return fail(ends.error());
  while (const int error = send_descriptor(socket_.fd(), ends->second.fd())) {
    if (!would_block(error) && error != ETOOMANYREFS)
      co_return fail(connection_error("connecting to " + name_, error));
    if (deadline.passed())
      co_return fail(ErrorCode::kDeadlineExceeded, "connecting to " + name_ + " took too long");
    co_await sleep_for(kAgainAfter);
  }
  co_return std::make_unique<SocketStream>(ends->first.take(), name_);
}

bool HandoverDialer::gone() const {
  pollfd entry{.fd = socket_.fd(), .events = 0, .revents = 0};
  return ::poll(&entry, 1, 0) > 0 && (entry.revents & (POLLHUP | POLLERR)) != 0;
}

void HandoverDialer::hang_up() const { ::shutdown(socket_.fd(), SHUT_RDWR); }

std::optional<std::string> HandoverDialer::take_message() const {
  std::string message;
  message.resize_and_overwrite(kMaxMessage, [this](char* bytes, std::size_t size) {
    const ssize_t count = ::recv(socket_.fd(), bytes, size, MSG_DONTWAIT);
    return static_cast<std::size_t>(count > 0 ? count : 0);
  });
  if (message.empty()) return std::nullopt;
  return message;
}

struct HandoverListener::State {
  State(EventLoop& loop, int fd, std::function<void()> callback)
      : descriptor(loop, fd), on_end(std::move(callback)) {}
  Descriptor descriptor;
  std::function<void()> on_end;
  Signal never;
};

HandoverListener::HandoverListener(EventLoop& loop, int fd, std::function<void()> on_end)
    : state_(std::make_unique<State>(loop, fd, std::move(on_end))) {}

HandoverListener::~HandoverListener() = default;

Task<Result<std::unique_ptr<ByteStream>>> HandoverListener::accept() {
  while (true) {
    if (!state_->descriptor.readable.is_set()) co_await state_->descriptor.readable.wait();
    const Received received = receive_descriptor(state_->descriptor.fd());
    if (received.descriptor >= 0) co_return std::make_unique<SocketStream>(received.descriptor, "parent");
    // The descriptor is missing because this process has no room for it; the other side sees its end.
    if (received.count > 0 || (received.count < 0 && errno == EINTR)) continue;
    if (received.count == 0 || !would_block(errno)) break;
    state_->descriptor.readable.clear();
  }
  std::exchange(state_->on_end, [] {})();
  co_await state_->never.wait();
  co_return fail(ErrorCode::kUnavailable, "nobody connects any more");
}

bool HandoverListener::tell(std::string_view message) {
  return ::send(state_->descriptor.fd(), message.data(), message.size(), MSG_NOSIGNAL | MSG_DONTWAIT) >= 0;
}

}  // namespace autoglm
