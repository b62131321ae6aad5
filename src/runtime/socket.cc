#include "runtime/socket.h"

#include "runtime/event_loop_core.h"
#include "runtime/race.h"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/ip/tcp.hpp>

#include <netdb.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <expected>
#include <functional>
#include <optional>
#include <utility>

namespace autoglm {

namespace asio = boost::asio;
using tcp = asio::ip::tcp;
using boost::system::error_code;

namespace {

Error connection_error(std::string_view what, const error_code& error) {
  return Error{.code = ErrorCode::kUnavailable,
               .origin = Origin::kEndpoint,
               .retry = Retry::kElsewhere,
               .message = std::string(what) + ": " + error.message()};
}

std::string describe(const tcp::endpoint& endpoint) {
  const std::string host = endpoint.address().to_string();
  const std::string port = std::to_string(endpoint.port());
  return endpoint.address().is_v6() ? "[" + host + "]:" + port : host + ":" + port;
}

/// One asynchronous operation of the network library, awaited. When the awaiting frame is destroyed,
/// the operation is taken back; its completion, which the library still delivers, finds nobody: the
/// handler shares only the small state below.
template <class Value>
class Operation {
 public:
  using Handler = std::function<void(const error_code&, Value)>;

  template <class Start>
  explicit Operation(Start start) : start_(std::move(start)), state_(std::make_shared<State>()) {}
  ~Operation() {
    if (state_->waiting) {
      state_->waiting = {};
      state_->cancel.emit(asio::cancellation_type::terminal);
    }
  }
  Operation(const Operation&) = delete;
  Operation& operator=(const Operation&) = delete;

  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> handle) {
    state_->waiting = handle;
    start_(*state_);
  }
  std::pair<error_code, Value> await_resume() { return {state_->error, std::move(state_->value)}; }

  struct State : std::enable_shared_from_this<State> {
    auto handler() {
      return asio::bind_cancellation_slot(
          cancel.slot(), [self = this->shared_from_this()](const error_code& result, auto... values) {
            if (!self->waiting) return;
            self->error = result;
            ((self->value = std::move(values)), ...);
            std::exchange(self->waiting, {}).resume();
          });
    }
    std::coroutine_handle<> waiting;
    asio::cancellation_signal cancel;
    error_code error;
    Value value{};
  };

 private:
  std::function<void(State&)> start_;
  std::shared_ptr<State> state_;
};

struct Nothing {};

class TcpStream final : public ByteStream {
 public:
  explicit TcpStream(tcp::socket socket) : socket_(std::move(socket)) {
    error_code ignored;
    socket_.non_blocking(true, ignored);
    // Frames of a stream are small and must leave at once.
    socket_.set_option(tcp::no_delay(true), ignored);
    const auto endpoint = socket_.remote_endpoint(ignored);
    if (!ignored) peer_ = describe(endpoint);
  }

  Task<Result<std::size_t>> read_some(std::span<char> buffer) override {
    // Through the library's own speculative receive: it calls recv once when there is data and
    // knows from the last short read when there cannot be any.
    const auto [error, count] = co_await Operation<std::size_t>([this, buffer](auto& state) {
      socket_.async_receive(asio::buffer(buffer.data(), buffer.size()), state.handler());
    });
    if (error == asio::error::eof) co_return std::size_t{0};
    if (error) co_return fail(connection_error("reading from " + peer_, error));
    co_return count;
  }

  Task<Result<void>> write_all(std::span<const std::string_view> parts) override {
    std::size_t first = 0;   // the part that is being sent
    std::size_t offset = 0;  // and how much of it has gone
    while (true) {
      while (first < parts.size() && offset == parts[first].size()) {
        ++first;
        offset = 0;
      }
      if (first == parts.size()) co_return {};
      const ssize_t sent = send_some(parts, first, offset);
      if (sent >= 0) {
        auto left = static_cast<std::size_t>(sent);
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
      if (errno != EAGAIN && errno != EWOULDBLOCK) {
        co_return fail(
            connection_error("writing to " + peer_, error_code(errno, boost::system::system_category())));
      }
      const auto [error, nothing] = co_await Operation<Nothing>(
          [this](auto& state) { socket_.async_wait(tcp::socket::wait_write, state.handler()); });
      if (error) co_return fail(connection_error("writing to " + peer_, error));
    }
  }

  void shutdown_write() override {
    error_code ignored;
    socket_.shutdown(tcp::socket::shutdown_send, ignored);
  }
  void close() override {
    error_code ignored;
    socket_.close(ignored);
  }
  const std::string& peer() const override { return peer_; }

 private:
  ssize_t send_some(std::span<const std::string_view> parts, std::size_t first, std::size_t offset) {
    std::array<iovec, 16> vectors;
    std::size_t count = 0;
    for (std::size_t i = first; i < parts.size() && count < vectors.size(); ++i) {
      const std::string_view part = i == first ? parts[i].substr(offset) : parts[i];
      if (part.empty()) continue;
      // iovec is for reading and writing and so not const; sendmsg only reads.
      vectors[count++] = {const_cast<char*>(part.data()), part.size()};
    }
    msghdr message{};
    message.msg_iov = vectors.data();
    message.msg_iovlen = count;
    return ::sendmsg(socket_.native_handle(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
  }

  tcp::socket socket_;
  std::string peer_;
};

struct AddressListDeleter {
  void operator()(addrinfo* list) const { ::freeaddrinfo(list); }
};

/// Blocks; runs on the pool.
Result<std::vector<tcp::endpoint>> resolve(const HostPort& target) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_ADDRCONFIG | AI_NUMERICSERV;
  addrinfo* raw = nullptr;
  const int status = ::getaddrinfo(target.host.c_str(), std::to_string(target.port).c_str(), &hints, &raw);
  const std::unique_ptr<addrinfo, AddressListDeleter> list(raw);
  if (status != 0) {
    return fail(
        Error{.code = ErrorCode::kUnavailable,
              .origin = Origin::kEndpoint,
              .retry = Retry::kElsewhere,
              .message = "cannot resolve the host name \"" + target.host + "\": " + ::gai_strerror(status)});
  }
  std::vector<tcp::endpoint> endpoints;
  for (const addrinfo* entry = list.get(); entry != nullptr; entry = entry->ai_next) {
    tcp::endpoint endpoint;
    if (entry->ai_addrlen > endpoint.capacity()) continue;
    endpoint.resize(entry->ai_addrlen);
    std::memcpy(endpoint.data(), entry->ai_addr, entry->ai_addrlen);
    endpoints.push_back(endpoint);
  }
  return endpoints;
}

Result<tcp::endpoint> numeric_endpoint(const HostPort& address) {
  error_code error;
  const std::string host = address.host == "localhost" ? "127.0.0.1"
                           : address.host.empty()      ? "0.0.0.0"
                                                       : address.host;
  const auto ip = asio::ip::make_address(host, error);
  if (error) {
    return fail(
        ErrorCode::kInvalidArgument,
        "\"" + address.host + "\" is not an IP address to listen on; write e.g. 0.0.0.0, 127.0.0.1 or [::]");
  }
  return tcp::endpoint(ip, address.port);
}

Error listen_error(const HostPort& address, const error_code& error) {
  std::string message = "cannot listen on " + address.to_string() + ": " + error.message();
  if (error == asio::error::address_in_use) {
    message += "; another process has this port: find it with `ss -ltnp`, or choose another port with --port";
  } else if (error == asio::error::access_denied) {
    message += "; ports below 1024 need CAP_NET_BIND_SERVICE";
  }
  return Error{.code = ErrorCode::kUnavailable, .message = message};
}

Result<void> open_and_bind(tcp::acceptor& acceptor, const HostPort& address, bool share) {
  const auto endpoint = numeric_endpoint(address);
  if (!endpoint) return fail(endpoint.error());
  error_code error;
  acceptor.open(endpoint->protocol(), error);
  if (!error) acceptor.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error && share) {
    using ReusePort = asio::detail::socket_option::boolean<SOL_SOCKET, SO_REUSEPORT>;
    acceptor.set_option(ReusePort(true), error);
  }
  if (!error) acceptor.bind(*endpoint, error);
  if (!error) acceptor.listen(1024, error);
  if (error) return fail(listen_error(address, error));
  return {};
}

/// How long an address may be silent before the next one is tried, too.
constexpr Duration kNextAddressAfter = std::chrono::milliseconds(250);

/// Attempts at several addresses beside each other.
struct Race {
  Signal news;
  std::optional<tcp::socket> won;
  std::size_t failed = 0;
  error_code last = asio::error::host_not_found;
};

Task<void> run_one(const tcp::endpoint& endpoint, Race& race) {
  tcp::socket socket(EventLoop::current().core().context);
  const auto [error, nothing] =
      co_await Operation<Nothing>([&](auto& state) { socket.async_connect(endpoint, state.handler()); });
  if (error) {
    race.last = error;
    ++race.failed;
  } else if (!race.won) {
    race.won.emplace(std::move(socket));
  }
  race.news.set();
}

/// Happy eyeballs (RFC 8305): the addresses in turn, each a little later than the one before or when that
/// has failed; the first to be there is taken.
Task<std::expected<tcp::socket, error_code>> connect_to_first(std::vector<tcp::endpoint> endpoints) {
  Race race;
  Scope attempts;  // last: they use the above
  for (std::size_t begun = 0; begun < endpoints.size();) {
    attempts.spawn(run_one(endpoints[begun++], race));
    while (!race.won && race.failed < begun) {
      const std::size_t failed = race.failed;
      const auto next = begun < endpoints.size() ? Deadline::after(kNextAddressAfter) : Deadline::never();
      const auto waited = co_await with_deadline(
          next,
          [](Signal& news) -> Task<Result<void>> {
            co_await news.wait();
            co_return Result<void>();
          }(race.news),
          "an address");
      race.news.clear();
      if (!waited || race.failed > failed) break;
    }
    if (race.won) co_return std::move(*race.won);
    while (begun == endpoints.size() && race.failed < begun && !race.won) {
      co_await race.news.wait();
      race.news.clear();
    }
    if (race.won) co_return std::move(*race.won);
  }
  co_return std::unexpected(race.last);
}

/// The families in turn, so that one that leads nowhere costs one attempt.
std::vector<tcp::endpoint> interleaved(const std::vector<tcp::endpoint>& endpoints) {
  std::vector<tcp::endpoint> first;
  std::vector<tcp::endpoint> second;
  for (const auto& endpoint : endpoints)
    (endpoint.protocol() == endpoints.front().protocol() ? first : second).push_back(endpoint);
  std::vector<tcp::endpoint> order;
  for (std::size_t i = 0; i < std::max(first.size(), second.size()); ++i) {
    if (i < first.size()) order.push_back(first[i]);
    if (i < second.size()) order.push_back(second[i]);
  }
  return order;
}

Task<Result<std::unique_ptr<ByteStream>>> connect_to_any(BlockingPool& pool, HostPort target) {
  std::vector<tcp::endpoint> endpoints;
  if (target.host == "localhost") {  // not everybody's resolver knows both
    endpoints = {{asio::ip::address_v4::loopback(), target.port},
                 {asio::ip::address_v6::loopback(), target.port}};
  } else if (const auto numeric = numeric_endpoint(target)) {
    endpoints.push_back(*numeric);
  } else {
    auto resolved = co_await pool.run([target] { return resolve(target); });
    if (!resolved) co_return fail(resolved.error());
    if (!*resolved) co_return fail(resolved->error());
    endpoints = std::move(**resolved);
  }
  auto connected = co_await connect_to_first(interleaved(endpoints));
  if (!connected) co_return fail(connection_error("connecting to " + target.to_string(), connected.error()));
  co_return std::make_unique<TcpStream>(std::move(*connected));
}

}  // namespace

std::string HostPort::to_string() const {
  const bool v6 = host.find(':') != std::string::npos;
  return (v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

struct TcpListener::State {
  explicit State(EventLoop& loop) : acceptor(loop.core().context) {}
  tcp::acceptor acceptor;
};

TcpListener::TcpListener(std::unique_ptr<State> state) : state_(std::move(state)) {}
TcpListener::~TcpListener() = default;

Result<std::unique_ptr<TcpListener>> TcpListener::create(EventLoop& loop, const HostPort& address) {
  auto state = std::make_unique<State>(loop);
  if (auto bound = open_and_bind(state->acceptor, address, true); !bound) return fail(bound.error());
  return std::unique_ptr<TcpListener>(new TcpListener(std::move(state)));
}

Task<Result<std::unique_ptr<ByteStream>>> TcpListener::accept() {
  tcp::socket socket(state_->acceptor.get_executor());
  const auto [error, nothing] = co_await Operation<Nothing>(
      [&](auto& operation) { state_->acceptor.async_accept(socket, operation.handler()); });
  if (error) co_return fail(connection_error("accepting a connection", error));
  co_return std::make_unique<TcpStream>(std::move(socket));
}

std::uint16_t TcpListener::port() const {
  error_code ignored;
  return state_->acceptor.local_endpoint(ignored).port();
}

Result<HostPort> probe_listen_address(const HostPort& address) {
  asio::io_context context;
  tcp::acceptor acceptor(context);
  if (auto bound = open_and_bind(acceptor, address, false); !bound) return fail(bound.error());
  error_code ignored;
  return HostPort{address.host, acceptor.local_endpoint(ignored).port()};
}

Task<Result<std::unique_ptr<ByteStream>>> tcp_connect(BlockingPool& pool, HostPort target,
                                                      Deadline deadline) {
  co_return co_await with_deadline(deadline, connect_to_any(pool, target), "connecting");
}

}  // namespace autoglm
