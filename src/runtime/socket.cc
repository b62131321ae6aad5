#include "runtime/socket.h"

#include "runtime/descriptor.h"
#include "runtime/race.h"
#include "runtime/scope.h"
#include "runtime/signal.h"
#include "runtime/socket_address.h"
#include "runtime/socket_stream.h"

#include <linux/filter.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <system_error>
#include <utility>

namespace autoglm {

namespace {

std::string reason(int error) { return std::system_category().message(error); }

void set_option(int fd, int level, int name) {
  const int on = 1;
  ::setsockopt(fd, level, name, &on, sizeof on);
}

Error listen_error(const HostPort& address, int error) {
  std::string message = "cannot listen on " + address.to_string() + ": " + reason(error);
  if (error == EADDRINUSE) {
    message += "; another process has this port: find it with `ss -ltnp`, or choose another port with --port";
  } else if (error == EACCES) {
    message += "; ports below 1024 need CAP_NET_BIND_SERVICE";
  }
  return Error{.code = ErrorCode::kUnavailable, .message = message};
}

/// Drops everything that arrives, as a bad line would: a client's system tries again after a second.
void deafen(int fd) {
  sock_filter drop{.code = BPF_RET | BPF_K, .jt = 0, .jf = 0, .k = 0};
  const sock_fprog program{.len = 1, .filter = &drop};
  ::setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
}

enum class Sharing : std::uint8_t { kAlone, kAloneAndDeaf, kShared };

Result<Socket> listen_at(const HostPort& address, Sharing sharing) {
  const auto endpoint = SocketAddress::numeric(address);
  if (!endpoint) {
    return fail(
        ErrorCode::kInvalidArgument,
        "\"" + address.host + "\" is not an IP address to listen on; write e.g. 0.0.0.0, 127.0.0.1 or [::]");
  }
  Socket socket(::socket(endpoint->family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (socket.fd() < 0) return fail(listen_error(address, errno));
  set_option(socket.fd(), SOL_SOCKET, SO_REUSEADDR);
  if (sharing == Sharing::kShared) set_option(socket.fd(), SOL_SOCKET, SO_REUSEPORT);
  if (sharing == Sharing::kAloneAndDeaf) deafen(socket.fd());
  if (::bind(socket.fd(), endpoint->raw(), endpoint->length) != 0 || ::listen(socket.fd(), 1024) != 0)
    return fail(listen_error(address, errno));
  return socket;
}

std::uint16_t port_of(int fd) {
  SocketAddress local;
  return ::getsockname(fd, local.raw(), &local.length) == 0 ? local.port() : 0;
}

Task<Result<std::unique_ptr<ByteStream>>> connect_to(const SocketAddress& address, const HostPort& target) {
  const std::string what = "connecting to " + target.to_string();
  Socket socket(::socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (socket.fd() < 0) co_return fail(connection_error(what, errno));
  const bool under_way = ::connect(socket.fd(), address.raw(), address.length) != 0;
  if (under_way && errno != EINPROGRESS) co_return fail(connection_error(what, errno));
  // Watched only now: the kernel reports an unconnected socket as broken.
  auto stream = std::make_unique<SocketStream>(socket.take(), address.to_string());
  if (under_way) {
    if (const int error = co_await stream->connected(); error != 0)
      co_return fail(connection_error(what, error));
  }
  co_return stream;
}

/// How long an address may be silent before the next one is tried beside it.
constexpr Duration kNextAddressAfter = std::chrono::milliseconds(250);

/// Concurrent connection attempts to several addresses.
struct Race {
  Signal news;
  std::unique_ptr<ByteStream> won;
  std::size_t failed = 0;
  Error last;
};

Task<void> run_one(const SocketAddress& address, const HostPort& target, Race& race) {
  auto stream = co_await connect_to(address, target);
  if (!stream) {
    race.last = std::move(stream).error();
    ++race.failed;
  } else if (!race.won) {
    race.won = std::move(*stream);
  }
  race.news.set();
}

/// Happy eyeballs (RFC 8305): starts with the first address and adds the next after a delay or after a
/// failure; the first connection to succeed is taken.
Task<Result<std::unique_ptr<ByteStream>>> connect_to_first(std::vector<SocketAddress> addresses,
                                                           const HostPort& target) {
  Race race;
  race.last = connection_error("connecting to " + target.to_string(), EHOSTUNREACH);
  Scope attempts;  // last: they use the variables above
  for (std::size_t begun = 0; begun < addresses.size();) {
    attempts.spawn(run_one(addresses[begun++], target, race));
    while (!race.won && race.failed < begun) {
      const std::size_t failed = race.failed;
      const auto next = begun < addresses.size() ? Deadline::after(kNextAddressAfter) : Deadline::never();
      const auto waited = co_await with_deadline(next, raised(race.news), "an address");
      race.news.clear();
      if (!waited || race.failed > failed) break;
    }
    if (race.won) co_return std::move(race.won);
    while (begun == addresses.size() && race.failed < begun && !race.won) {
      co_await race.news.wait();
      race.news.clear();
    }
    if (race.won) co_return std::move(race.won);
  }
  co_return fail(std::move(race.last));
}

/// Alternates the address families, so that a family that leads nowhere costs one attempt.
std::vector<SocketAddress> interleaved(const std::vector<SocketAddress>& addresses) {
  std::vector<SocketAddress> first;
  std::vector<SocketAddress> second;
  for (const auto& address : addresses)
    (address.family() == addresses.front().family() ? first : second).push_back(address);
  std::vector<SocketAddress> order;
  for (std::size_t i = 0; i < std::max(first.size(), second.size()); ++i) {
    if (i < first.size()) order.push_back(first[i]);
    if (i < second.size()) order.push_back(second[i]);
  }
  return order;
}

Task<Result<std::unique_ptr<ByteStream>>> connect_to_any(BlockingPool& pool, HostPort target) {
  std::vector<SocketAddress> addresses;
  if (target.host == "localhost") {  // not every resolver knows both
    for (const char* loopback : {"127.0.0.1", "::1"})
      addresses.push_back(*SocketAddress::numeric({loopback, target.port}));
  } else if (const auto numeric = SocketAddress::numeric(target)) {
    addresses.push_back(*numeric);
  } else {
    auto resolved = co_await pool.run([target] { return SocketAddress::resolve(target); });
    if (!resolved) co_return fail(resolved.error());
    if (!*resolved) co_return fail(resolved->error());
    addresses = std::move(**resolved);
  }
  if (addresses.size() == 1) co_return co_await connect_to(addresses.front(), target);
  co_return co_await connect_to_first(interleaved(addresses), target);
}

}  // namespace

std::string HostPort::to_string() const {
  const bool v6 = host.find(':') != std::string::npos;
  std::string text;
  text.reserve(host.size() + 8);
  if (v6) text += '[';
  text += host;
  text += v6 ? "]:" : ":";
  std::array<char, 5> digits;
  text.append(digits.data(), std::to_chars(digits.data(), digits.data() + digits.size(), port).ptr);
  return text;
}

struct TcpListener::State {
  State(EventLoop& loop, int fd) : descriptor(loop, fd) {}
  Descriptor descriptor;
};

TcpListener::TcpListener(std::unique_ptr<State> state) : state_(std::move(state)) {}
TcpListener::~TcpListener() = default;

Result<std::unique_ptr<TcpListener>> TcpListener::create(EventLoop& loop, const HostPort& address) {
  auto taken = ListenAddress::take(address, 1);
  if (!taken) return fail(taken.error());
  return taken->listener(loop);
}

Task<Result<std::unique_ptr<ByteStream>>> TcpListener::accept() {
  while (true) {
    if (!state_->descriptor.readable.is_set()) co_await state_->descriptor.readable.wait();
    SocketAddress peer;
    const int fd = ::accept4(state_->descriptor.fd(), peer.raw(), &peer.length, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) co_return std::make_unique<SocketStream>(fd, peer.to_string());
    if (errno == EINTR) continue;
    if (!would_block(errno)) co_return fail(connection_error("accepting a connection", errno));
    state_->descriptor.readable.clear();
  }
}

std::uint16_t TcpListener::port() const { return port_of(state_->descriptor.fd()); }

ListenAddress::ListenAddress(HostPort address, std::vector<Socket> sockets)
    : address_(std::move(address)), sockets_(std::move(sockets)) {}
ListenAddress::ListenAddress(ListenAddress&&) noexcept = default;
ListenAddress& ListenAddress::operator=(ListenAddress&&) noexcept = default;
ListenAddress::~ListenAddress() = default;

Result<ListenAddress> ListenAddress::take(const HostPort& wanted, std::size_t loops) {
  // Exclusively at first: a socket that shares its port silently shares it with any process of the same user.
  auto first = listen_at(wanted, loops == 1 ? Sharing::kAlone : Sharing::kAloneAndDeaf);
  if (!first) return fail(first.error());
  HostPort address{wanted.host, port_of(first->fd())};
  std::vector<Socket> sockets;
  if (loops == 1) {
    sockets.push_back(std::move(*first));
  } else {
    // Our sockets may join while the first one holds the port. The first one cannot be one of them, because
    // the kernel adds a socket to a sharing group when it listens; nor may it take connections, which would
    // end with it.
    set_option(first->fd(), SOL_SOCKET, SO_REUSEPORT);
    while (sockets.size() < loops) {
      auto next = listen_at(address, Sharing::kShared);
      if (!next) return fail(next.error());
      sockets.push_back(std::move(*next));
    }
  }
  return ListenAddress(std::move(address), std::move(sockets));
}

std::unique_ptr<TcpListener> ListenAddress::listener(EventLoop& loop, std::size_t index) {
  return std::unique_ptr<TcpListener>(
      new TcpListener(std::make_unique<TcpListener::State>(loop, sockets_.at(index).take())));
}

Task<Result<std::unique_ptr<ByteStream>>> tcp_connect(BlockingPool& pool, HostPort target,
                                                      Deadline deadline) {
  co_return co_await with_deadline(deadline, connect_to_any(pool, target), "connecting");
}

}  // namespace autoglm
