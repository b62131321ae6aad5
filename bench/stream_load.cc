// Both ends of the bench of streams, cheap enough that the proxy between them is the slow part:
//
//   stream_load serve PORT EVENTS MILLISECONDS BYTES
//       an upstream: answers each POST with a stream of EVENTS events, one every MILLISECONDS, each with a
//       word of BYTES bytes; answers each GET with 200
//   stream_load load PORT STREAMS
//       opens STREAMS streams and reads them to their end; prints "STREAMS n FINISHED n EVENTS n P99 ms",
//       where P99 is of the time between two reads of a stream
//   stream_load deaf PORT STREAMS
//       opens STREAMS streams of the model "deaf", prints "OPEN n", and reads nothing until its standard
//       input ends
//
// One thread and one epoll set each; understands no more of HTTP than the two proxies' messages need.

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;
constexpr std::string_view kBegin =
    R"(data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m",)"
    R"("choices":[{"index":0,"delta":{"content":" word"},"logprobs":null,"finish_reason":null)";
constexpr std::string_view kEnd = "}]}\n\n";

[[noreturn]] void die(const char* what) {
  std::perror(what);
  std::exit(1);
}

sockaddr_in loopback(const char* port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<std::uint16_t>(std::atoi(port)));
  return address;
}

void watch(int epoll, int fd) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = fd;
  if (::epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0) die("epoll_ctl");
}

void send_all(int fd, std::string_view bytes) {
  // Far less than a socket's buffer holds.
  if (::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT) !=
      static_cast<ssize_t>(bytes.size()))
    std::fprintf(stderr, "stream_load: a peer does not read\n");
}

std::string chunk(std::string_view text) {
  std::array<char, 16> size{};
  std::snprintf(size.data(), size.size(), "%zx\r\n", text.size());
  return size.data() + std::string(text) + "\r\n";
}

std::string padding(std::size_t bytes) {
  return bytes == 0 ? "" : R"(,"padding":")" + std::string(bytes, 'x') + '"';
}

/// Sends events to streams, grouped by the millisecond of the period in which they are due.
class Upstream {
 public:
  Upstream(const char* port, int events, int period, std::size_t bytes)
      : epoll_(::epoll_create1(0)),
        events_(events),
        frame_(chunk(std::string(kBegin) + padding(bytes) + std::string(kEnd))),
        turns_(static_cast<std::size_t>(period)) {
    listener_ = ::socket(AF_INET, SOCK_STREAM, 0);
    const int on = 1;
    ::setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    const sockaddr_in address = loopback(port);
    if (::bind(listener_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
        ::listen(listener_, 4096) != 0)
      die("listen");
    watch(epoll_, listener_);
  }

  [[noreturn]] void run() {
    const auto began = Clock::now();
    std::size_t tick = 0;
    while (true) {
      std::array<epoll_event, 256> events;
      const int count = ::epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), 1);
      for (int i = 0; i < count; ++i) on_ready(events[static_cast<std::size_t>(i)].data.fd);
      const auto now = static_cast<std::size_t>((Clock::now() - began) / std::chrono::milliseconds(1));
      for (; tick < now; ++tick) emit(turns_[tick % turns_.size()]);
    }
  }

 private:
  struct Stream {
    int fd;
    int left;
    std::string_view rest = {};  // of a frame that its reader has not taken yet
  };

  void on_ready(int fd) {
    if (fd == listener_) {
      const int accepted = ::accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK);
      if (accepted < 0) return;
      const int on = 1;
      ::setsockopt(accepted, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      watch(epoll_, accepted);
      return;
    }
    std::array<char, 16384> bytes;
    const ssize_t count = ::recv(fd, bytes.data(), bytes.size(), MSG_DONTWAIT);
    if (count <= 0) {
      for (auto& turn : turns_) std::erase_if(turn, [fd](const Stream& stream) { return stream.fd == fd; });
      requests_.erase(fd);
      ::close(fd);
      return;
    }
    std::string& request = requests_[fd];
    request.append(bytes.data(), static_cast<std::size_t>(count));
    if (request.starts_with("GET") && request.ends_with("\r\n\r\n")) {
      request.clear();
      send_all(fd, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    } else if (request.find("\r\n\r\n") != std::string::npos && request.ends_with("}")) {
      request.clear();
      send_all(fd,
               "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n");
      turns_[next_turn_++ % turns_.size()].push_back({fd, events_});
    }
  }

  /// A stream whose reader does not read gets no more until it does.
  void emit(std::vector<Stream>& turn) const {
    static const std::string end = chunk("data: [DONE]\n\n") + "0\r\n\r\n";
    for (Stream& stream : turn) {
      if (stream.rest.empty())
        stream.rest = stream.left-- > 0 ? std::string_view(frame_) : std::string_view(end);
      const ssize_t count =
          ::send(stream.fd, stream.rest.data(), stream.rest.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (count > 0) stream.rest.remove_prefix(static_cast<std::size_t>(count));
    }
    std::erase_if(turn, [](const Stream& stream) { return stream.left < 0 && stream.rest.empty(); });
  }

  int epoll_;
  int listener_ = -1;
  int events_;
  std::string frame_;
  std::size_t next_turn_ = 0;
  std::vector<std::vector<Stream>> turns_;
  std::unordered_map<int, std::string> requests_;
};

/// A new connection that has asked `model` for a stream; `receive_buffer` is the size of the kernel's receive
/// buffer, or 0 for the default.
int ask(const char* port, const std::string& model, int receive_buffer) {
  const std::string body =
      R"({"model":")" + model +
      R"(","messages":[{"role":"user","content":"Hello, how can I help?"}],"stream":true})";
  const std::string request =
      "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
      "Content-Length: " +
      std::to_string(body.size()) + "\r\n\r\n" + body;
  const sockaddr_in address = loopback(port);
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  if (receive_buffer > 0) ::setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
  if (fd < 0 || ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    die("connect");
  send_all(fd, request);
  return fd;
}

int deaf(const char* port, int streams) {
  for (int i = 0; i < streams; ++i) ask(port, "deaf", 4096);
  std::printf("OPEN %d\n", streams);
  std::fflush(stdout);
  while (std::getchar() != EOF) {
  }
  return 0;
}

double percentile_99(std::vector<double>& values) {
  if (values.empty()) return 0;
  const auto at = values.begin() + static_cast<std::ptrdiff_t>(values.size() * 99 / 100);
  std::nth_element(values.begin(), at, values.end());
  return *at;
}

int load(const char* port, int streams) {
  const int epoll = ::epoll_create1(0);
  struct Reader {
    std::string tail;  // the end of the last read, so that words cut in two are found
    Clock::time_point read = {};
  };
  std::unordered_map<int, Reader> readers;
  std::vector<double> gaps;  // ms
  int open = 0;
  int finished = 0;
  long events = 0;
  int started = 0;
  while (started < streams || open > 0) {
    for (int i = 0; i < 10 && started < streams; ++i, ++started, ++open) {
      watch(epoll, ask(port, "m", 0));
    }
    std::array<epoll_event, 256> ready;
    const int count =
        ::epoll_wait(epoll, ready.data(), static_cast<int>(ready.size()), started < streams ? 1 : 30'000);
    if (count == 0 && started == streams) break;  // no stream makes progress any more
    for (int i = 0; i < count; ++i) {
      const int fd = ready[static_cast<std::size_t>(i)].data.fd;
      std::array<char, 16384> bytes;
      const ssize_t size = ::recv(fd, bytes.data(), bytes.size(), MSG_DONTWAIT);
      Reader& reader = readers[fd];
      std::string& text = reader.tail;
      const auto now = Clock::now();
      if (reader.read != Clock::time_point())
        gaps.push_back(std::chrono::duration<double, std::milli>(now - reader.read).count());
      reader.read = now;
      if (size > 0) text.append(bytes.data(), static_cast<std::size_t>(size));
      constexpr std::string_view kMark = "data: ";
      std::size_t at = 0;
      for (std::size_t found = 0; (found = text.find(kMark, at)) != std::string::npos;
           at = found + kMark.size())
        ++events;
      const bool done = text.find("[DONE]") != std::string::npos;
      text.erase(0, std::max(at, text.size() - std::min(text.size(), kMark.size() - 1)));
      if (!done && size > 0) continue;
      finished += done ? 1 : 0;
      --open;
      readers.erase(fd);
      ::close(fd);
    }
  }
  std::printf("STREAMS %d FINISHED %d EVENTS %ld P99 %f\n", streams, finished, events, percentile_99(gaps));
  return 0;
}

}  // namespace

int main(int count, char** arguments) {
  const std::vector<std::string> words(arguments + 1, arguments + count);
  if (words.size() == 5 && words[0] == "serve") {
    Upstream(words[1].c_str(), std::stoi(words[2]), std::stoi(words[3]), std::stoul(words[4])).run();
  }
  if (words.size() == 3 && words[0] == "load") return load(words[1].c_str(), std::stoi(words[2]));
  if (words.size() == 3 && words[0] == "deaf") return deaf(words[1].c_str(), std::stoi(words[2]));
  std::fprintf(
      stderr,
      "usage: stream_load serve PORT EVENTS MILLISECONDS BYTES | load PORT STREAMS | deaf PORT STREAMS\n");
  return 2;
}
