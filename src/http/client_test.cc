#include "http/client.h"

#include "http/server.h"
#include "runtime/testing/run_task.h"

#include <gtest/gtest.h>

#include <array>
#include <string>

namespace autoglm::http {
namespace {

using namespace std::chrono_literals;

/// A server that says exactly what it is told to, one script a connection, and then closes.
class ScriptedServer {
 public:
  explicit ScriptedServer(std::vector<std::string> scripts)
      : listener_(TcpListener::create(EventLoop::current(), {"127.0.0.1", 0}).value()),
        scripts_(std::move(scripts)) {
    scope_.spawn(run());
  }

  std::string url(const std::string& path = "/") const {
    return "http://127.0.0.1:" + std::to_string(listener_->port()) + path;
  }
  std::string seen;  ///< everything that clients sent
  std::size_t connections = 0;

 private:
  Task<void> run() {
    for (const std::string& script : scripts_) {
      auto stream = (co_await listener_->accept()).value();
      ++connections;
      std::array<char, 4096> buffer;
      const auto count = co_await stream->read_some(std::span<char>(buffer));
      if (count) seen.append(buffer.data(), *count);
      co_await stream->write_all(std::string_view(script));
    }
  }

  std::unique_ptr<TcpListener> listener_;
  std::vector<std::string> scripts_;
  Scope scope_;
};

class ClientTest : public ::testing::Test {
 protected:
  /// Status and body of a GET, or the error's code.
  Task<std::string> fetch(Client& client, std::string url) {
    ClientRequest request;
    request.url = Url::parse(url).value();
    request.headers.add("Authorization", "Bearer secret");
    auto response = co_await client.send(std::move(request));
    if (!response) co_return std::string(to_string(response.error().code));
    const auto body = co_await (*response)->read_all(1 << 20);
    if (!body) co_return std::string(to_string(body.error().code));
    co_return std::to_string((*response)->status()) + " " + *body;
  }

  /// What a client makes of one scripted answer.
  std::string outcome(std::string script) {
    return run_task(loop_, [&]() -> Task<std::string> {
      ScriptedServer server({std::move(script)});
      Client client(pool_, nullptr);
      co_return co_await fetch(client, server.url());
    }());
  }

  EventLoop loop_;
  BlockingPool pool_{1, 8};
};

TEST_F(ClientTest, ReadsBodiesOfEveryFraming) {
  EXPECT_EQ(outcome("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"), "200 hello");
  EXPECT_EQ(outcome("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"),
            "200 hello");
  EXPECT_EQ(outcome("HTTP/1.0 200 OK\r\n\r\nhello"), "200 hello");
  EXPECT_EQ(outcome("HTTP/1.1 204 No Content\r\n\r\n"), "204 ");
  EXPECT_EQ(outcome("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"), "200 ok");
}

TEST_F(ClientTest, NamesWhatIsWrongWithAnAnswer) {
  EXPECT_EQ(outcome(""), "bad_gateway");
  EXPECT_EQ(outcome("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel"), "bad_gateway");
  EXPECT_EQ(outcome("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel"), "bad_gateway");
  EXPECT_EQ(outcome("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n"), "bad_gateway");
  EXPECT_EQ(outcome("SSH-2.0-OpenSSH\r\n\r\n"), "bad_gateway");
  EXPECT_EQ(outcome("HTTP/1.1 200 OK\r\nContent-Length: 2000000\r\n\r\n" + std::string(2000000, 'x')),
            "payload_too_large");
}

TEST_F(ClientTest, KeepsAConnectionAndReplacesAStaleOne) {
  run_task(loop_, [&]() -> Task<void> {
    // Each script's connection is closed by the server after its answer.
    ScriptedServer server(
        {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nb"});
    Client client(pool_, nullptr);
    EXPECT_EQ(co_await fetch(client, server.url()), "200 a");
    EXPECT_EQ(client.idle_connections(), 1U);
    EXPECT_EQ(co_await fetch(client, server.url()), "200 b");
    EXPECT_EQ(server.connections, 2U);
  }());
}

TEST_F(ClientTest, DoesNotKeepAConnectionWhoseBodyWasNotRead) {
  run_task(loop_, [&]() -> Task<void> {
    ScriptedServer server({"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"});
    Client client(pool_, nullptr);
    ClientRequest request;
    request.url = Url::parse(server.url()).value();
    {
      auto response = co_await client.send(std::move(request));
    }
    EXPECT_EQ(client.idle_connections(), 0U);
  }());
}

TEST_F(ClientTest, AsksForPlainBytesUnlessToldOtherwise) {
  run_task(loop_, [&]() -> Task<void> {
    const std::string answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    ScriptedServer server({answer, answer});
    Client client(pool_, nullptr);
    ClientRequest request;
    request.url = Url::parse(server.url()).value();
    const auto identity = co_await client.send({.url = request.url, .headers = {}});
    EXPECT_TRUE(identity);
    EXPECT_NE(server.seen.find("\r\nAccept-Encoding: identity\r\n"), std::string::npos) << server.seen;
    request.headers.add("accept-encoding", "gzip");
    const auto packed = co_await client.send(std::move(request));
    EXPECT_TRUE(packed);
    EXPECT_NE(server.seen.find("\r\naccept-encoding: gzip\r\n"), std::string::npos) << server.seen;
    EXPECT_EQ(server.seen.find("identity", server.seen.rfind("GET ")), std::string::npos) << server.seen;
  }());
}

TEST_F(ClientTest, TimesOut) {
  run_task(loop_, [&]() -> Task<void> {
    auto silent = TcpListener::create(EventLoop::current(), {"127.0.0.1", 0}).value();
    Client client(pool_, nullptr);
    ClientRequest request;
    request.url = Url::parse("http://127.0.0.1:" + std::to_string(silent->port())).value();
    request.head_timeout = 5ms;
    const auto response = co_await client.send(std::move(request));
    EXPECT_FALSE(response);
    if (!response) EXPECT_EQ(response.error().code, ErrorCode::kDeadlineExceeded);
  }());
}

TEST(Url, IsTakenApart) {
  const Url url = Url::parse("https://example.com/a/b?c=d").value();
  EXPECT_TRUE(url.tls);
  EXPECT_EQ(url.host, (HostPort{"example.com", 443}));
  EXPECT_EQ(url.target, "/a/b?c=d");
  EXPECT_EQ(url.authority(), "example.com");
  EXPECT_EQ(Url::parse("http://[::1]:8000")->authority(), "[::1]:8000");
  EXPECT_EQ(url.resolve("../x")->target, "/x");
  EXPECT_EQ(url.resolve("//other/y")->origin(), "https://other:443");
}

TEST(Url, RefusesWhatItCannotUse) {
  for (const char* text :
       {"", "example.com", "ftp://x/", "http://", "http://u:p@x/", "http://x:99999/", "http://a b/"}) {
    EXPECT_FALSE(Url::parse(text)) << text;
  }
}

TEST_F(ClientTest, TellsAProxyTheWholeAddress) {
  run_task(loop_, [&]() -> Task<void> {
    ScriptedServer proxy({"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"});
    Client client(pool_, nullptr);
    ClientRequest request;
    request.url = Url::parse("http://hub.invalid/a?b").value();
    request.proxy = Proxy::parse("u:p@" + proxy.url("").substr(7)).value();
    auto response = co_await client.send(std::move(request));
    EXPECT_TRUE(response);
    EXPECT_TRUE(
        proxy.seen.starts_with("GET http://hub.invalid/a?b HTTP/1.1\r\nHost: hub.invalid\r\n"
                               "Proxy-Authorization: Basic dTpw\r\n"))
        << proxy.seen;
  }());
}

TEST_F(ClientTest, AsksAProxyForATunnelAndTellsWhyThereIsNone) {
  run_task(loop_, [&]() -> Task<void> {
    ScriptedServer proxy({"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"});
    Client client(pool_, nullptr);
    ClientRequest request;
    request.url = Url::parse("https://hub.invalid/a").value();
    request.headers.add("Authorization", "Bearer secret");
    request.proxy = Proxy::parse(proxy.url("")).value();
    const auto response = co_await client.send(std::move(request));
    EXPECT_FALSE(response);
    EXPECT_NE(response.error().message.find("407"), std::string::npos) << response.error().message;
    EXPECT_EQ(proxy.seen, "CONNECT hub.invalid:443 HTTP/1.1\r\nHost: hub.invalid:443\r\n\r\n");
  }());
}

}  // namespace
}  // namespace autoglm::http
