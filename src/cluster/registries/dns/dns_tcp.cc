#include "cluster/registries/dns/dns_tcp.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace autoglm::cluster {

namespace {

class Dialog {
 public:
  Dialog(int family, Duration patience)
      : socket_(::socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)),
        end_(std::chrono::steady_clock::now() + patience) {}
  ~Dialog() {
    if (socket_ >= 0) ::close(socket_);
  }
  Dialog(const Dialog&) = delete;
  Dialog& operator=(const Dialog&) = delete;

  bool connect(const sockaddr* server, socklen_t size) const {
    if (socket_ < 0) return false;
    if (::connect(socket_, server, size) == 0) return true;
    if (errno != EINPROGRESS || !wait(POLLOUT)) return false;
    int error = 0;
    socklen_t length = sizeof error;
    return ::getsockopt(socket_, SOL_SOCKET, SO_ERROR, &error, &length) == 0 && error == 0;
  }
  bool send(std::span<const unsigned char> bytes) const {
    while (!bytes.empty()) {
      const auto sent = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent > 0) bytes = bytes.subspan(static_cast<std::size_t>(sent));
      if (sent < 0 && (errno != EAGAIN || !wait(POLLOUT))) return false;
    }
    return true;
  }
  bool receive(std::span<unsigned char> bytes) const {
    while (!bytes.empty()) {
      const auto got = ::recv(socket_, bytes.data(), bytes.size(), 0);
      if (got == 0) return false;
      if (got > 0) bytes = bytes.subspan(static_cast<std::size_t>(got));
      if (got < 0 && (errno != EAGAIN || !wait(POLLIN))) return false;
    }
    return true;
  }

 private:
  bool wait(short event) const {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(end_ - std::chrono::steady_clock::now()).count();
    pollfd one{.fd = socket_, .events = event, .revents = 0};
    return left > 0 && ::poll(&one, 1, static_cast<int>(left)) == 1;
  }

  int socket_;
  MonotonicTime end_;
};

}  // namespace

Result<std::vector<unsigned char>> ask_dns_by_tcp(std::span<const std::byte> server,
                                                  std::span<const unsigned char> query, Duration patience) {
  sockaddr_storage address{};
  std::memcpy(&address, server.data(), std::min(server.size(), sizeof address));
  const Dialog dialog(address.ss_family, patience);
  std::array<unsigned char, 2> size = {static_cast<unsigned char>(query.size() >> 8U),
                                       static_cast<unsigned char>(query.size())};
  const auto* const to = reinterpret_cast<const sockaddr*>(&address);
  if (dialog.connect(to, static_cast<socklen_t>(server.size())) && dialog.send(size) && dialog.send(query) &&
      dialog.receive(size)) {
    std::vector<unsigned char> answer(static_cast<std::size_t>(size[0]) << 8U | size[1]);
    if (dialog.receive(answer)) return answer;
  }
  return fail(ErrorCode::kUnavailable, "the DNS does not answer over TCP");
}

}  // namespace autoglm::cluster
