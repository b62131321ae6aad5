#include "runtime/tls.h"

#include "runtime/race.h"
#include "runtime/scope.h"
#include "runtime/socket.h"
#include "runtime/testing/connected_pair.h"
#include "runtime/testing/run_task.h"
#include "runtime/testing/self_signed.h"
#include "runtime/tls_server.h"
#include "runtime/tls_stream.h"

#include <gtest/gtest.h>

#include <array>
#include <string>

namespace autoglm {
namespace {

using namespace std::chrono_literals;

class TlsTest : public ::testing::Test {
 protected:
  using Pair = ConnectedPair;
  Task<Pair> connect_plain() { return connect_over_loopback(pool_); }

  /// Both ends within TLS; the client asks for `name` and trusts the certificate `believed`.
  Task<Pair> connect(TlsServerContext::Options options, const SelfSigned& believed, std::string name) {
    const auto ours = TlsServerContext::create(options).value();
    const auto theirs = TlsClientContext::create({.ca_file = believed.pair.certificate_file}).value();
    Pair pair = co_await connect_plain();
    Scope scope;
    scope.spawn([](auto context, Pair& out) -> Task<void> {
      auto accepted = co_await tls_accept(context, std::move(out.server), Deadline::after(10s));
      EXPECT_TRUE(accepted.has_value()) << accepted.error().message;
      if (accepted) out.server = std::move(accepted->stream);
    }(ours, pair));
    auto connected = co_await tls_connect(theirs, std::move(pair.client), name, Deadline::after(10s));
    EXPECT_TRUE(connected.has_value()) << connected.error().message;
    if (connected) pair.client = std::move(*connected);
    co_await scope.join();
    co_return pair;
  }
  Task<Pair> connect() { co_return co_await connect({.certificates = {self_.pair}}, self_, "one.example"); }

  static Task<std::string> read_exactly(ByteStream& stream, std::size_t size) {
    std::string text;
    std::array<char, 4096> buffer;
    while (text.size() < size) {
      const auto count = co_await stream.read_some(buffer);
      if (!count || *count == 0) break;
      text.append(buffer.data(), *count);
    }
    co_return text;
  }

  SelfSigned self_{"one.example"};
  EventLoop loop_;
  BlockingPool pool_{1, 8};
};

std::string pattern(std::size_t size) {
  std::string text(size, ' ');
  for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>('a' + (i * i + i / 251) % 26);
  return text;
}

TEST_F(TlsTest, CarriesPartsOfAllSizesInOrder) {
  const auto scenario = [&]() -> Task<void> {
    Pair pair = co_await connect();
    const std::string large = pattern(300'000);
    const std::string middle = pattern(16 * 1024);
    const std::string_view parts[] = {"a", "", large, "b", middle, middle, "c"};
    std::string all;
    for (const std::string_view part : parts) all += part;
    Scope scope;
    scope.spawn([](ByteStream& out, std::span<const std::string_view> what) -> Task<void> {
      EXPECT_TRUE((co_await out.write_all(what)).has_value());
    }(*pair.server, parts));
    EXPECT_EQ(co_await read_exactly(*pair.client, all.size()), all);
    co_await scope.join();
  };
  run_task(loop_, scenario());
}

TEST_F(TlsTest, TellsAnEndFromACut) {
  const auto scenario = [&](bool announced) -> Task<Result<std::size_t>> {
    Pair pair = co_await connect();
    if (announced) co_await pair.server->shutdown_write();
    pair.server.reset();
    std::array<char, 16> buffer;
    co_return co_await pair.client->read_some(buffer);
  };
  EXPECT_EQ(run_task(loop_, scenario(true)).value(), 0U);
  EXPECT_FALSE(run_task(loop_, scenario(false)).has_value());
}

/// A reader never sends while a writer does: their bytes would mix.
TEST_F(TlsTest, KeysAreRenewedWhileAWriteIsUnderWay) {
  const auto scenario = [&]() -> Task<void> {
    Pair pair = co_await connect();
    const std::string large = pattern(8 << 20);
    Scope scope;
    scope.spawn([](ByteStream& out, const std::string& bytes) -> Task<void> {
      EXPECT_TRUE((co_await out.write_all(std::string_view(bytes))).has_value());
    }(*pair.server, large));
    EXPECT_FALSE(scope.empty());  // the socket's buffers are full: the writer waits
    auto* ssl = const_cast<SSL*>(static_cast<TlsStream&>(*pair.client).ssl());
    for (int i = 0; i < 20; ++i) {
      EXPECT_EQ(SSL_key_update(ssl, SSL_KEY_UPDATE_REQUESTED), 1);
      co_await pair.client->write_all(std::string_view("x"));
      EXPECT_EQ(co_await read_exactly(*pair.server, 1), "x");
    }
    EXPECT_TRUE(co_await read_exactly(*pair.client, large.size()) == large);
    co_await scope.join();
  };
  run_task(loop_, scenario());
}

TEST_F(TlsTest, WhoRenewsKeysWithoutEndIsHungUpOn) {
  const auto scenario = [&]() -> Task<Result<std::size_t>> {
    Pair pair = co_await connect();
    auto* ssl = const_cast<SSL*>(static_cast<TlsStream&>(*pair.client).ssl());
    Scope scope;
    scope.spawn([](ByteStream& out, SSL* renewed) -> Task<void> {
      do {
        SSL_key_update(renewed, SSL_KEY_UPDATE_REQUESTED);
      } while (co_await out.write_all(std::string_view("x")));
    }(*pair.client, ssl));
    std::array<char, 16> buffer;
    while (true) {
      auto count = co_await pair.server->read_some(buffer);
      if (count && *count > 0) continue;
      pair.server.reset();
      co_await scope.join();
      co_return count;
    }
  };
  const auto outcome = run_task(loop_, scenario());
  ASSERT_FALSE(outcome.has_value());
  EXPECT_NE(outcome.error().message.find("renews keys without end"), std::string::npos);
}

TEST_F(TlsTest, TheCertificateIsTheOneThatIsAskedFor) {
  const SelfSigned other("two.example");
  const TlsServerContext::Options options{.certificates = {self_.pair, other.pair}};
  EXPECT_EQ(TlsServerContext::create(options).value()->certificates().at(1).name, "two.example");
  const auto scenario = [&]() -> Task<void> {
    co_await connect(options, self_, "one.example");
    co_await connect(options, other, "two.example");
  };
  run_task(loop_, scenario());
}

TEST_F(TlsTest, SaysWhichFileIsWrong) {
  const SelfSigned other("two.example");
  const auto mixed = TlsServerContext::create(
      {.certificates = {self_.pair, {other.pair.certificate_file, self_.pair.key_file}}});
  ASSERT_FALSE(mixed.has_value());
  EXPECT_EQ(mixed.error().param, "certificates[1].key");
  const auto none = TlsServerContext::create({.certificates = {{"/none", self_.pair.key_file}}});
  ASSERT_FALSE(none.has_value());
  EXPECT_EQ(none.error().param, "certificates[0].certificate");
}

TEST_F(TlsTest, AHandshakeHasADeadline) {
  const auto scenario = [&]() -> Task<Result<TlsAccepted>> {
    const auto context = TlsServerContext::create({.certificates = {self_.pair}}).value();
    Pair pair = co_await connect_plain();
    co_await pair.client->write_all(std::string_view("\x16\x03\x01\x02\x00", 5));
    co_return co_await tls_accept(context, std::move(pair.server), Deadline::after(5ms));
  };
  const auto outcome = run_task(loop_, scenario());
  ASSERT_FALSE(outcome.has_value());
  EXPECT_EQ(outcome.error().code, ErrorCode::kDeadlineExceeded);
}

TEST_F(TlsTest, AClientThatSpeaksHttpGetsThePlainStream) {
  const auto scenario = [&]() -> Task<void> {
    const auto context = TlsServerContext::create({.certificates = {self_.pair}}).value();
    Pair pair = co_await connect_plain();
    co_await pair.client->write_all(std::string_view("GET / HTTP/1.1\r\n\r\n"));
    auto accepted = co_await tls_accept(context, std::move(pair.server), Deadline::after(10s));
    EXPECT_TRUE(accepted.value().plain);
    co_await accepted->stream->write_all(std::string_view("no"));
    EXPECT_EQ(co_await read_exactly(*pair.client, 2), "no");
  };
  run_task(loop_, scenario());
}

}  // namespace
}  // namespace autoglm
