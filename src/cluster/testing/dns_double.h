#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace autoglm::cluster {

/// A server of the DNS that answers every question over UDP with SRV records; on a thread of its own.
class DnsDouble {
 public:
  DnsDouble() {
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ::bind(socket_, reinterpret_cast<sockaddr*>(&at), sizeof at);
    socklen_t size = sizeof at;
    ::getsockname(socket_, reinterpret_cast<sockaddr*>(&at), &size);
    port_ = ntohs(at.sin_port);
    thread_ = std::thread([this] { serve(); });
  }
  ~DnsDouble() {
    const char stop = 0;
    (void)!::write(wake_[1], &stop, 1);
    thread_.join();
    for (const int each : {socket_, wake_[0], wake_[1]}) ::close(each);
  }

  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
  void list(std::vector<std::uint16_t> ports) { become(0, std::move(ports)); }
  void refuse() { become(kServerFailure, {}); }
  /// Announces records that it does not send.
  void say_garbage() { become(kGarbage, {}); }

 private:
  static constexpr int kServerFailure = 2;
  static constexpr int kGarbage = -1;

  static std::string number(unsigned value) {
    return {static_cast<char>(value >> 8U), static_cast<char>(value & 255U)};
  }
  void become(int code, std::vector<std::uint16_t> ports) {
    const std::lock_guard lock(mutex_);
    code_ = code;
    ports_ = std::move(ports);
  }
  /// `question`: the id, and what is asked, of the question.
  std::string answer(const std::string& id, const std::string& question) {
    const std::lock_guard lock(mutex_);
    const auto records = static_cast<unsigned>(code_ == kGarbage ? 3 : ports_.size());
    std::string text = id + number(0x8580U | static_cast<unsigned>(code_ == kGarbage ? 0 : code_)) +
                       number(1) + number(records) + number(0) + number(0) + question;
    if (code_ == kGarbage) return text + "\xc0\x0c\xff";
    for (const unsigned port : ports_) {
      const std::string target("\x01h\x00", 3);
      text += "\xc0\x0c" + number(33) + number(1) + number(0) + number(1);
      text +=
          number(static_cast<unsigned>(6 + target.size())) + number(0) + number(1) + number(port) + target;
    }
    return text;
  }
  void serve() {
    std::array<pollfd, 2> wait{{{.fd = socket_, .events = POLLIN}, {.fd = wake_[0], .events = POLLIN}}};
    while (::poll(wait.data(), wait.size(), -1) >= 0 && wait[1].revents == 0) {
      std::array<char, 1024> buffer;
      sockaddr_in from{};
      socklen_t size = sizeof from;
      const auto count =
          ::recvfrom(socket_, buffer.data(), buffer.size(), 0, reinterpret_cast<sockaddr*>(&from), &size);
      if (count < 18) continue;
      const std::string asked(buffer.data(), static_cast<std::size_t>(count));
      // The name ends with an empty label; a type and a class follow.
      const std::string text = answer(asked.substr(0, 2), asked.substr(12, asked.find('\0', 12) + 5 - 12));
      ::sendto(socket_, text.data(), text.size(), 0, reinterpret_cast<sockaddr*>(&from), size);
    }
  }

  int socket_ = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  std::array<int, 2> wake_ = pipe();
  std::uint16_t port_ = 0;
  std::mutex mutex_;
  int code_ = 0;
  std::vector<std::uint16_t> ports_;
  std::thread thread_;  // last: it uses the above

  static std::array<int, 2> pipe() {
    std::array<int, 2> ends{-1, -1};
    (void)!::pipe(ends.data());
    return ends;
  }
};

}  // namespace autoglm::cluster
