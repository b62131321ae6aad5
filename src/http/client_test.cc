#include "http/client.h"

#include "http/content_coding.h"
#include "http/testing/endless_streams.h"
#include "http/testing/scripted_server.h"
#include "runtime/testing/run_task.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <string>
#include <vector>

namespace autoglm::http {
namespace {

using namespace std::chrono_literals;

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

  /// The client's result for one scripted answer.
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
    // The server closes each script's connection after its answer.
    ScriptedServer server(
        {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nb"});
    Client client(pool_, nullptr);
    EXPECT_EQ(co_await fetch(client, server.url()), "200 a");
    EXPECT_EQ(client.idle_connections(), 1U);
    EXPECT_EQ(co_await fetch(client, server.url()), "200 b");
    EXPECT_EQ(server.connections, 2U);
  }());
}

/// Answers after the first part of a request, and again when it has read `whole` bytes.
class EarlyServer {
 public:
  EarlyServer(std::string early, std::string late, std::size_t whole)
      : listener_(TcpListener::create(EventLoop::current(), {"127.0.0.1", 0}).value()),
        early_(std::move(early)),
        late_(std::move(late)),
        whole_(whole) {
    scope_.spawn(run());
  }
  std::string url() const { return "http://127.0.0.1:" + std::to_string(listener_->port()) + "/"; }
  std::size_t connections = 0;
  std::size_t read = 0;

 private:
  Task<void> run() {
    while (true) {
      stream_ = (co_await listener_->accept()).value();
      ++connections;
      std::vector<char> buffer(std::size_t{64} * 1024);
      const auto first = co_await stream_->read_some(std::span<char>(buffer));
      read += first.value_or(0);
      co_await stream_->write_all(std::string_view(early_));
      if (late_.empty()) {  // with most of it unread, which resets the connection
        stream_.reset();
        continue;
      }
      while (read < whole_) {
        const auto more = co_await stream_->read_some(std::span<char>(buffer));
        if (!more || *more == 0) break;
        read += *more;
      }
      co_await stream_->write_all(std::string_view(late_));
    }
  }

  std::unique_ptr<TcpListener> listener_;
  const std::string early_;
  const std::string late_;
  const std::size_t whole_;
  std::unique_ptr<ByteStream> stream_;
  Scope scope_;
};

constexpr std::size_t kLarge = std::size_t{8} << 20U;

Task<std::string> post_large(Client& client, std::string url) {
  ClientRequest request{.method = "POST", .url = Url::parse(url).value(), .headers = {}};
  request.body.assign(kLarge, 'x');
  auto response = co_await client.send(std::move(request));
  if (!response) co_return std::string(to_string(response.error().code));
  const auto body = co_await (*response)->read_all(1 << 20);
  co_return std::to_string((*response)->status()) + " " + body.value_or("cut off");
}

TEST_F(ClientTest, ReadsAnAnswerThatComesBeforeTheRequestWasRead) {
  run_task(loop_, [&]() -> Task<void> {
    for (const char* close : {"", "Connection: close\r\n"}) {
      const std::string early =
          std::string("HTTP/1.1 413 Too Large\r\nContent-Length: 4\r\n") + close + "\r\nmuch";
      EarlyServer closes(early, "", kLarge);
      Client client(pool_, nullptr);
      for (int i = 0; i < 5; ++i) EXPECT_EQ(co_await post_large(client, closes.url()), "413 much");
      EXPECT_EQ(closes.connections, 5U) << "sent once each";
      EXPECT_EQ(client.idle_connections(), 0U) << "what was cut off in the middle serves nobody";
      EarlyServer waits(early, "never", std::size_t{1} << 40U);
      EXPECT_EQ(co_await post_large(client, waits.url()), "413 much");
      EXPECT_EQ(client.idle_connections(), 0U);
    }
  }());
}

TEST_F(ClientTest, InterimAnswersDoNotStopARequest) {
  run_task(loop_, [&]() -> Task<void> {
    const std::string interim = "HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n";
    EarlyServer server(interim + interim, answer_of("all"), kLarge + 1);  // the head comes on top
    Client client(pool_, nullptr);
    EXPECT_EQ(co_await post_large(client, server.url()), "200 all");
    EXPECT_GT(server.read, kLarge);
    EXPECT_EQ(client.idle_connections(), 1U);
  }());
}

TEST_F(ClientTest, InterimAnswersHaveAnEnd) {
  run_task(loop_, [&]() -> Task<void> {
    std::string many;
    for (int i = 0; i < 1000; ++i) many += "HTTP/1.1 100 Continue\r\n\r\n";
    EarlyServer flood(many, answer_of("all"), kLarge);
    EarlyServer endless("HTTP/1.1 100 Continue\r\nX: " + std::string(100'000, 'a'), "never",
                        std::size_t{1} << 40U);
    Client client(pool_, nullptr);
    EXPECT_EQ(co_await post_large(client, flood.url()), "bad_gateway");
    EXPECT_EQ(co_await post_large(client, endless.url()), "bad_gateway");
    EXPECT_EQ(co_await fetch(client, flood.url()), "bad_gateway");
  }());
}

class EndlessAnswers : public ClientTest {
 protected:
  /// The turns that others have while 8 MiB of an answer are read that begins with `text`.
  int beside(std::string text, std::size_t most) {
    int turns = 0;
    run_task(loop_, [&]() -> Task<void> {
      Client client(pool_, nullptr);
      ClientRequest request{.url = Url::parse("http://endless/").value(), .headers = {}};
      request.dialer = std::make_shared<EndlessDialer>(std::move(text), most);
      Scope others;
      others.spawn([](int& count) -> Task<void> {
        for (;; ++count) co_await yield_to_loop();
      }(turns));
      auto response = co_await client.send(std::move(request));
      EXPECT_TRUE((*response)->unpack());
      const auto body = co_await (*response)->read_all(std::size_t{8} << 20U);
      EXPECT_EQ(body.error().code, ErrorCode::kPayloadTooLarge);
    }());
    return turns;
  }
};

TEST_F(EndlessAnswers, AnAnswerWithoutEndLeavesTheLoopToOthers) {
  EXPECT_GT(beside("HTTP/1.1 200 OK\r\n\r\n", std::size_t{1} << 20U), 10) << "reads that are full";
  EXPECT_GT(beside("HTTP/1.1 200 OK\r\n\r\n", 1000), 10) << "and others";
}

TEST_F(EndlessAnswers, SoDoesAnAnswerThatUnpacksToMuch) {
  const std::string packed =
      run_task(loop_, encode(ContentCoding::kGzip, std::string(std::size_t{9} << 20U, 'a'))).value();
  EXPECT_GT(beside("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + packed, 64'000), 10);
}

/// Nothing else may come for as long as the request is being sent: they are not kept until then.
TEST_F(ClientTest, InterimAnswersHaveAnEndBeforeTheRequestIsSent) {
  run_task(loop_, [&]() -> Task<void> {
    std::string many;
    for (int i = 0; i < 101; ++i) many += "HTTP/1.1 100 Continue\r\n\r\n";
    Client client(pool_, nullptr);
    ClientRequest request{.method = "POST", .url = Url::parse("http://stuck/").value(), .headers = {}};
    request.body.assign(kLarge, 'x');
    request.dialer = std::make_shared<StuckDialer>(many);
    request.head_timeout = 1s;
    const auto response = co_await client.send(std::move(request));
    EXPECT_EQ(response.error().code, ErrorCode::kBadGateway) << response.error().message;
  }());
}

TEST_F(ClientTest, NobodyKnowsTheAnswerToWhatWasNotRead) {
  run_task(loop_, [&]() -> Task<void> {
    EarlyServer server(answer_of("somebody else's"), "never", std::size_t{1} << 40U);
    Client client(pool_, nullptr);
    EXPECT_EQ(co_await post_large(client, server.url()), "bad_gateway");
  }());
}

TEST_F(ClientTest, SendsAgainOnlyWhatHasNoEffect) {
  run_task(loop_, [&]() -> Task<void> {
    // Each connection reads a request and closes without an answer, the first one after one answer.
    for (const char* method : {"GET", "POST"}) {
      ScriptedServer server({"", "", ""});
      Client client(pool_, nullptr);
      ClientRequest request{.method = method, .url = Url::parse(server.url()).value(), .headers = {}};
      const auto response = co_await client.send(std::move(request));
      EXPECT_FALSE(response);
      if (!response) EXPECT_EQ(response.error().reason, "connection_lost");
      EXPECT_EQ(server.connections, 1U) << "a new connection that is lost is not the request's bad luck";
    }
  }());
}

/// Keeps a connection open and ends it without an answer when the next request arrives.
class DyingServer {
 public:
  DyingServer() : listener_(TcpListener::create(EventLoop::current(), {"127.0.0.1", 0}).value()) {
    scope_.spawn(run());
  }
  std::string url() const { return "http://127.0.0.1:" + std::to_string(listener_->port()) + "/"; }
  std::size_t requests = 0;

 private:
  Task<void> run() {
    std::array<char, 4096> buffer;
    while (true) {
      auto stream = (co_await listener_->accept()).value();
      (void)co_await stream->read_some(std::span<char>(buffer));
      ++requests;
      co_await stream->write_all(std::string_view("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na"));
      const auto count = co_await stream->read_some(std::span<char>(buffer));
      if (count && *count > 0) ++requests;
    }
  }

  std::unique_ptr<TcpListener> listener_;
  Scope scope_;
};

TEST_F(ClientTest, OnAKeptConnectionTooThatIsForOthersToDecide) {
  run_task(loop_, [&]() -> Task<void> {
    for (const bool get : {true, false}) {
      DyingServer server;
      Client client(pool_, nullptr);
      EXPECT_EQ(co_await fetch(client, server.url()), "200 a");
      ClientRequest request{
          .method = get ? "GET" : "POST", .url = Url::parse(server.url()).value(), .headers = {}};
      const auto response = co_await client.send(std::move(request));
      EXPECT_EQ(response.has_value(), get);
      if (!response) EXPECT_EQ(response.error().reason, "connection_lost");
      EXPECT_EQ(server.requests, get ? 3U : 2U);
    }
  }());
}

TEST_F(ClientTest, DoesNotKeepAConnectionThatSaidMoreThanItsAnswer) {
  run_task(loop_, [&]() -> Task<void> {
    ScriptedServer server({answer_of("a") + "HTTP/1.1 200 O"});
    Client client(pool_, nullptr);
    EXPECT_EQ(co_await fetch(client, server.url()), "200 a");
    EXPECT_EQ(client.idle_connections(), 0U) << "what comes next is not the next answer";
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
