#include "runtime/socket.h"

#include "runtime/race.h"
#include "runtime/scope.h"
#include "runtime/socket_address.h"
#include "runtime/socket_stream.h"
#include "runtime/testing/connected_pair.h"
#include "runtime/testing/run_task.h"

#include <gtest/gtest.h>

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <barrier>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

namespace autoglm {
namespace {

using namespace std::chrono_literals;

/// A port without a listener, on an address that no other test process uses: a port of 127.0.0.1 could be
/// given to another process before the test uses it again.
HostPort port_of_nobody() {
  const auto pid = static_cast<unsigned>(::getpid());
  const auto byte = [](unsigned bits) { return "." + std::to_string(1 + (bits & 127U)); };
  const HostPort own{"127" + byte(pid >> 14U) + byte(pid >> 7U) + byte(pid), 0};
  return ListenAddress::take(own, 1).value().address();
}

class SocketTest : public ::testing::Test {
 protected:
  using Pair = ConnectedPair;
  Task<Pair> connect() { return connect_over_loopback(pool_); }

  static Task<std::string> read_to_end(ByteStream& stream) {
    std::string text;
    std::array<char, 4096> buffer;
    while (true) {
      const auto count = co_await stream.read_some(buffer);
      if (!count || *count == 0) co_return text;
      text.append(buffer.data(), *count);
    }
  }

  EventLoop loop_;
  BlockingPool pool_{1, 8};
};

TEST(ConnectionError, IsOursWhenWeHaveNothingLeftAndTheirsOtherwise) {
  for (const int error : {EMFILE, ENFILE, ENOBUFS, ENOMEM}) {
    const Error ours = connection_error("connecting", error);
    EXPECT_EQ(ours.origin, Origin::kLocal);
    EXPECT_EQ(ours.reason, kOutOfSockets);
  }
  // Without IPv6, "localhost" may still resolve to ::1, where nothing listens.
  for (const int error : {EADDRNOTAVAIL, ECONNREFUSED, EHOSTUNREACH})
    EXPECT_EQ(connection_error("connecting", error).origin, Origin::kEndpoint);
}

TEST_F(SocketTest, CarriesManyPartsInOrder) {
  const auto scenario = [&]() -> Task<std::string> {
    Pair pair = co_await connect();
    std::vector<std::string> words(40, "word ");
    std::vector<std::string_view> parts(words.begin(), words.end());
    EXPECT_TRUE((co_await pair.client->write_all(std::span<const std::string_view>(parts))).has_value());
    co_await pair.client->shutdown_write();
    co_return co_await read_to_end(*pair.server);
  };
  const std::string text = run_task(loop_, scenario());
  EXPECT_EQ(text.size(), 200U);
  EXPECT_EQ(text.substr(0, 10), "word word ");
}

TEST_F(SocketTest, WaitsForASlowReaderAndLosesNothing) {
  const auto scenario = [&]() -> Task<std::size_t> {
    Pair pair = co_await connect();
    const std::string big(8 << 20, 'x');
    Scope scope;
    scope.spawn([](ByteStream& out, const std::string& bytes) -> Task<void> {
      EXPECT_TRUE((co_await out.write_all(std::string_view(bytes))).has_value());
      co_await out.shutdown_write();
    }(*pair.client, big));
    EXPECT_FALSE(scope.empty());  // the socket's buffers are full: the writer waits
    const std::string got = co_await read_to_end(*pair.server);
    co_await scope.join();
    co_return got.size();
  };
  EXPECT_EQ(run_task(loop_, scenario()), std::size_t{8} << 20);
}

TEST_F(SocketTest, TellsWhetherItsPeerTakesWhatIsWritten) {
  run_task(loop_, [&]() -> Task<void> {
    auto [client, server] = co_await connect();
    const std::string text(32 * 1024 * 1024, 'x');
    Scope writing;
    writing.spawn([](ByteStream& stream, const std::string& bytes) -> Task<void> {
      co_await stream.write_all(std::string_view(bytes));
    }(*client, text));
    // Until the kernel's buffers are full.
    std::uint64_t before = 1;
    for (int same = 0; same < 1000; before = client->taken()) {
      same = client->taken() == before ? same + 1 : 0;
      co_await yield_to_loop();
    }
    std::string buffer(1024 * 1024, '\0');
    for (int i = 0; i < 4; ++i) EXPECT_TRUE(co_await server->read_some(std::span(buffer)));
    while (client->taken() == before) co_await yield_to_loop();
    EXPECT_GT(client->taken(), before);
  }());
}

TEST_F(SocketTest, SaysThatItsPeerHasEndedThoughNobodyReads) {
  struct Note final : StreamWatch {
    void stirred() override { news.set(); }
    Signal news;
  };
  run_task(loop_, [&]() -> Task<void> {
    auto [client, server] = co_await connect();
    co_await client->write_all(std::string_view("unread"));
    Note note;
    server->watch(&note);
    EXPECT_FALSE(server->peer_ended());
    client.reset();
    while (!server->peer_ended()) {
      co_await note.news.wait();
      note.news.clear();
    }
    server->watch(nullptr);
    EXPECT_EQ(co_await read_to_end(*server), "unread");
  }());
}

/// The kernel accepts this much of a new connection at once.
TEST_F(SocketTest, AWriterThatNeverWaitsLeavesTheLoopToOthersAllTheSame) {
  run_task(loop_, [&]() -> Task<void> {
    auto [client, server] = co_await connect();
    const std::string text(1024 * 1024, 'x');
    int turns = 0;
    Scope others;
    others.spawn([](int& count) -> Task<void> {
      for (;; ++count) co_await yield_to_loop();
    }(turns));
    others.spawn([](ByteStream& stream) -> Task<void> { co_await read_to_end(stream); }(*server));
    EXPECT_TRUE(co_await client->write_all(std::string_view(text)));
    EXPECT_GE(turns, 3);
  }());
}

TEST_F(SocketTest, ACancelledReadLosesNoBytesOfTheNext) {
  const auto scenario = [&]() -> Task<std::string> {
    Pair pair = co_await connect();
    std::array<char, 16> first{};
    auto outcome = co_await first_of(pair.server->read_some(first), [](BlockingPool& pool) -> Task<int> {
      co_await pool.run([] { return 0; });
      co_return 0;
    }(pool_));
    EXPECT_EQ(outcome.index(), 1U);
    co_await pair.client->write_all(std::string_view("hello"));
    std::array<char, 16> second{};
    const auto count = co_await pair.server->read_some(second);
    co_return std::string(second.data(), count.value());
  };
  EXPECT_EQ(run_task(loop_, scenario()), "hello");
}

TEST_F(SocketTest, SeesTheEndBehindAShortRead) {
  // The first read is short, so the kernel is not asked again until it reports more.
  const auto scenario = [&](bool end_first) -> Task<std::vector<std::size_t>> {
    Pair pair = co_await connect();
    co_await pair.client->write_all(std::string_view("hello"));
    if (end_first) co_await pair.client->shutdown_write();
    std::array<char, 16> buffer{};
    std::vector<std::size_t> counts;
    counts.push_back((co_await pair.server->read_some(buffer)).value());
    if (!end_first) {
      co_await pair.client->write_all(std::string_view("you"));
      counts.push_back((co_await pair.server->read_some(buffer)).value());
      co_await pair.client->shutdown_write();
    }
    counts.push_back((co_await pair.server->read_some(buffer)).value());
    co_return counts;
  };
  EXPECT_EQ(run_task(loop_, scenario(true)), (std::vector<std::size_t>{5, 0}));
  EXPECT_EQ(run_task(loop_, scenario(false)), (std::vector<std::size_t>{5, 3, 0}));
}

TEST_F(SocketTest, ReadsWhatCameWhileNobodyRead) {
  const auto scenario = [&]() -> Task<std::string> {
    Pair pair = co_await connect();
    std::array<char, 3> few{};
    co_await pair.client->write_all(std::string_view("abc"));
    co_await pair.server->read_some(few);  // the buffer is full: there may be more
    co_await pair.client->write_all(std::string_view("defghi"));
    for (int turn = 0; turn < 3; ++turn) co_await yield_to_loop();  // the event finds no reader
    co_await pair.client->shutdown_write();
    co_return co_await read_to_end(*pair.server);
  };
  EXPECT_EQ(run_task(loop_, scenario()), "defghi");
}

TEST_F(SocketTest, WakesAReaderWhoseStreamIsClosed) {
  const auto scenario = [&]() -> Task<bool> {
    Pair pair = co_await connect();
    bool failed = false;
    Scope scope;
    scope.spawn([](ByteStream& stream, bool& out) -> Task<void> {
      std::array<char, 16> buffer{};
      out = !(co_await stream.read_some(buffer)).has_value();
    }(*pair.server, failed));
    co_await yield_to_loop();
    pair.server->close();
    co_await scope.join();
    co_return failed;
  };
  EXPECT_TRUE(run_task(loop_, scenario()));
}

TEST_F(SocketTest, SaysThatAConnectionWasRefused) {
  const HostPort free = port_of_nobody();
  const auto result = run_task(loop_, tcp_connect(pool_, free, Deadline::after(10s)));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(result.error().origin, Origin::kEndpoint);
  EXPECT_NE(result.error().message.find("refused"), std::string::npos) << result.error().message;
}

TEST_F(SocketTest, APortHasOneOwner) {
  for (const std::size_t loops : {1U, 3U}) {
    const auto owner = ListenAddress::take({"127.0.0.1", 0}, loops);
    ASSERT_TRUE(owner);
    for (const std::size_t others : {1U, 3U}) {
      const auto second = ListenAddress::take(owner->address(), others);
      ASSERT_FALSE(second) << loops << " loops, then " << others;
      EXPECT_NE(second.error().message.find("another process"), std::string::npos);
    }
  }
}

TEST_F(SocketTest, EachOfManyThatHurryGetsAFreePortOfItsOwn) {
  constexpr std::size_t kEach = 200;
  std::array<std::vector<ListenAddress>, 4> taken;
  {
    std::vector<std::jthread> threads;
    for (auto& mine : taken)
      threads.emplace_back([&mine] {
        while (mine.size() < kEach) mine.push_back(ListenAddress::take({"127.0.0.1", 0}, 2).value());
      });
  }
  std::set<std::uint16_t> ports;
  for (const auto& mine : taken)
    for (const auto& each : mine) ports.insert(each.address().port);
  EXPECT_EQ(ports.size(), kEach * taken.size());
}

TEST_F(SocketTest, WhoHurriesForOnePortIsAloneOnIt) {
  for (int round = 0; round < 100; ++round) {
    const HostPort wanted = port_of_nobody();
    std::array<std::optional<ListenAddress>, 4> taken;
    {
      std::barrier start(static_cast<std::ptrdiff_t>(taken.size()));
      std::vector<std::jthread> threads;
      for (auto& mine : taken)
        threads.emplace_back([&] {
          start.arrive_and_wait();
          if (auto won = ListenAddress::take(wanted, 2)) mine.emplace(std::move(*won));
        });
    }
    EXPECT_EQ(std::ranges::count_if(taken, [](const auto& each) { return each.has_value(); }), 1);
  }
}

/// Connects again and again until a listener answers; whether the connection then stayed open.
bool connects_for_good(const HostPort& wanted, std::atomic<int>& asked) {
  const auto to = SocketAddress::numeric(wanted).value();
  const auto from = SocketAddress::numeric({"127.0.0.2", 0}).value();  // rules out a socket that connects to
                                                                       // itself
  while (true) {
    const Socket client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (::bind(client.fd(), from.raw(), from.length) != 0) continue;
    ++asked;
    if (::connect(client.fd(), to.raw(), to.length) != 0) continue;
    pollfd end{.fd = client.fd(), .events = POLLIN, .revents = 0};
    return ::poll(&end, 1, 20) == 0;
  }
}

TEST_F(SocketTest, WhoConnectsWhileAPortIsTakenIsNotHungUpOn) {
  for (int round = 0; round < 15; ++round) {
    const HostPort wanted = port_of_nobody();
    bool stayed = false;
    std::atomic<int> asked = 0;
    std::optional<ListenAddress> taken;
    {
      const std::jthread client([&] { stayed = connects_for_good(wanted, asked); });
      while (asked < 10) std::this_thread::yield();
      taken.emplace(ListenAddress::take(wanted, 8).value());
    }
    EXPECT_TRUE(stayed) << round;
  }
}

TEST_F(SocketTest, LoopsShareAnAddressAndEarlyClientsWait) {
  const auto scenario = [&]() -> Task<std::array<int, 2>> {
    auto taken = ListenAddress::take({"127.0.0.1", 0}, 2).value();
    std::vector<std::unique_ptr<ByteStream>> clients;
    while (clients.size() < 64)
      clients.push_back((co_await tcp_connect(pool_, taken.address(), Deadline::after(10s))).value());
    std::array<int, 2> accepted{};
    Scope scope;
    std::array<std::unique_ptr<TcpListener>, 2> listeners;
    for (std::size_t i = 0; i < 2; ++i) {
      listeners[i] = taken.listener(EventLoop::current(), i);
      scope.spawn([](TcpListener& listener, int& count, std::array<int, 2>& all) -> Task<void> {
        while (all[0] + all[1] < 64 && (co_await listener.accept()).has_value()) ++count;
      }(*listeners[i], accepted[i], accepted));
    }
    while (accepted[0] + accepted[1] < 64) co_await yield_to_loop();
    scope.cancel();
    co_await scope.join();
    co_return accepted;
  };
  const auto accepted = run_task(loop_, scenario());
  EXPECT_EQ(accepted[0] + accepted[1], 64);
  EXPECT_GT(accepted[0], 0);
  EXPECT_GT(accepted[1], 0);
}

TEST_F(SocketTest, ResolvesNames) {
  const auto result = run_task(loop_, tcp_connect(pool_, {"no-such-host.invalid", 80}, Deadline::after(10s)));
  ASSERT_FALSE(result);
  EXPECT_NE(result.error().message.find("no-such-host.invalid"), std::string::npos);
}

}  // namespace
}  // namespace autoglm
