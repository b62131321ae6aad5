// The conformance suite of Client, over every way to a server: what endpoints and downloads rely on.
#include "http/client.h"
#include "http/testing/scripted_server.h"
#include "http/testing/wire_server.h"
#include "runtime/testing/for_turns.h"
#include "runtime/testing/run_task.h"

#include <gtest/gtest.h>

#include <array>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace autoglm::http {
namespace {

using namespace std::chrono_literals;

/// "/path" of a request, whatever way it was sent.
std::string path_of(const std::string& request) {
  const std::size_t end = request.find(" HTTP/1.1\r\n");
  const std::size_t begin = request.rfind('/', end);
  return begin == std::string::npos ? request : request.substr(begin, end - begin);
}

WireServer::Answer says_path() {
  return [](ByteStream& to, std::string request) -> Task<bool> {
    const std::string answer = answer_of(path_of(request));
    co_return (co_await to.write_all(std::string_view(answer))).has_value();
  };
}

/// Status and body, or the error's code.
Task<std::string> outcome(Client& client, ClientRequest request) {
  auto response = co_await client.send(std::move(request));
  if (!response) {
    EXPECT_EQ(response.error().origin, Origin::kEndpoint) << response.error().message;
    EXPECT_FALSE(response.error().message.empty());
    co_return std::string(to_string(response.error().code));
  }
  const auto body = co_await (*response)->read_all(1 << 20);
  if (!body) {
    EXPECT_EQ(body.error().origin, Origin::kEndpoint) << body.error().message;
    co_return std::string(to_string(body.error().code));
  }
  co_return std::to_string((*response)->status()) + " " + *body;
}

Task<bool> settles(const std::size_t& count, std::size_t most) {
  const Deadline until = Deadline::after(20s);
  while (count > most && !until.passed()) co_await sleep_for(200us);
  co_return count <= most;
}

constexpr const char* kChunked =
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n";
constexpr const char* kInterim =
    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nX-A: b\r\nContent-Length: 5\r\n\r\nhello";

struct WayToIt {
  const char* name;
  std::unique_ptr<Way> (*make)();
};

class ClientConformance : public ::testing::TestWithParam<WayToIt> {
 protected:
  /// Runs `scenario(way, client)` on the loop.
  template <class Scenario>
  void with_client(Scenario scenario) {
    run_task(loop_, [&]() -> Task<void> {
      const auto way = GetParam().make();
      Client client(pool_, nullptr);
      co_await scenario(*way, client);
    }());
  }

  EventLoop loop_;
  BlockingPool pool_{1, 8};
};

TEST_P(ClientConformance, EachRequestHasItsOwnAnswer) {
  with_client([](Way& way, Client& client) -> Task<void> {
    WireServer server(way, says_path());
    for (int i = 0; i < 20; ++i) {
      const std::string path = "/" + std::to_string(i);
      EXPECT_EQ(co_await outcome(client, way.request(path)), "200 " + path);
      EXPECT_EQ(client.idle_connections(), way.keeps_connections() ? 1U : 0U);
    }
    EXPECT_EQ(server.connections, way.keeps_connections() ? 1U : 20U);
    EXPECT_EQ(server.requests, 20U);
  });
}

TEST_P(ClientConformance, AnAnswerMayComeInAnyTwoPieces) {
  with_client([](Way& way, Client& client) -> Task<void> {
    std::string answer;
    std::size_t at = 0;
    WireServer server(way, [&](ByteStream& to, std::string /*request*/) -> Task<bool> {
      co_await to.write_all(std::string_view(answer).substr(0, at));
      co_await turns(4);
      co_await to.write_all(std::string_view(answer).substr(at));
      if (answer.find("HTTP/1.0") == std::string::npos) co_return true;
      co_await to.shutdown_write();  // otherwise TLS takes the end for a truncation
      co_return false;
    });
    for (const std::string& whole : {answer_of("hello"), std::string(kChunked), std::string(kInterim),
                                     std::string("HTTP/1.0 200 OK\r\n\r\nhello")}) {
      answer = whole;
      for (at = 1; at < answer.size(); ++at)
        EXPECT_EQ(co_await outcome(client, way.request("/")), "200 hello") << at << " of " << answer;
    }
  });
}

TEST_P(ClientConformance, AnAnswerThatIsCutAnywhereIsAnErrorAndSentOnce) {
  with_client([](Way& way, Client& client) -> Task<void> {
    std::string answer;
    WireServer server(way, [&](ByteStream& to, std::string /*request*/) -> Task<bool> {
      co_await to.write_all(std::string_view(answer));
      co_return false;
    });
    for (const std::string& whole : {answer_of("hello"), std::string(kChunked), std::string(kInterim)}) {
      for (std::size_t size = 0; size < whole.size(); ++size) {
        answer = whole.substr(0, size);
        const std::size_t before = server.requests;
        const std::string said = co_await outcome(client, way.request("/"));
        EXPECT_TRUE(said == "bad_gateway" || said == "unavailable")
            << said << ": " << size << " of " << whole;
        EXPECT_EQ(server.requests, before + 1);
        EXPECT_EQ(client.idle_connections(), 0U);
      }
    }
  });
}

TEST_P(ClientConformance, GivenUpAnywhereItTakesNobodysAnswer) {
  with_client([](Way& way, Client& client) -> Task<void> {
    WireServer server(way, [](ByteStream& to, std::string request) -> Task<bool> {
      const std::string answer = answer_of(path_of(request));
      for (std::size_t at = 0; at < answer.size(); at += 7) {
        co_await turns(1);
        if (!co_await to.write_all(std::string_view(answer).substr(at, 7))) co_return false;
      }
      co_return true;
    });
    bool given_up = true;
    for (TurnCounts count; given_up && !count.over(); count.advance()) {
      const std::string behind = std::to_string(count.now());
      const auto first = co_await for_turns(count.now(), outcome(client, way.request("/first" + behind)));
      given_up = !first.has_value();
      if (first) EXPECT_EQ(*first, "200 /first" + behind);
      EXPECT_EQ(co_await outcome(client, way.request("/then" + behind)), "200 /then" + behind);
      EXPECT_TRUE(co_await settles(server.open, client.idle_connections())) << "it holds a connection";
    }
    EXPECT_FALSE(given_up);
  });
}

TEST_P(ClientConformance, AnAnswerThatIsNotReadIsNobodysLater) {
  with_client([](Way& way, Client& client) -> Task<void> {
    WireServer server(way, says_path());
    for (int i = 0; i < 5; ++i) {
      {
        const auto unread = co_await client.send(way.request("/unread"));
        EXPECT_TRUE(unread.has_value());
      }
      EXPECT_EQ(co_await outcome(client, way.request("/read")), "200 /read");
      EXPECT_TRUE(co_await settles(server.open, client.idle_connections()));
    }
  });
}

TEST_P(ClientConformance, AnAnswerThatNobodyAskedForIsNobodys) {
  with_client([](Way& way, Client& client) -> Task<void> {
    unsigned delay = 0;
    WireServer server(way, [&](ByteStream& to, std::string request) -> Task<bool> {
      const std::string answer = answer_of(path_of(request));
      const std::string stale = answer_of("stale");
      if (delay == 0) co_return (co_await to.write_all(std::string_view(answer + stale))).has_value();
      co_await to.write_all(std::string_view(answer));
      co_await turns(delay);
      co_return (co_await to.write_all(std::string_view(stale))).has_value();
    });
    for (delay = 0; delay < 8; ++delay) {
      for (int i = 0; i < 4; ++i) {
        const std::string path = "/" + std::to_string(i);
        EXPECT_EQ(co_await outcome(client, way.request(path)), "200 " + path)
            << "behind " << delay << " turns";
        co_await turns(4 + delay);  // so that whatever comes has arrived
      }
    }
  });
}

TEST_P(ClientConformance, ReadsAnAnswerThatComesBeforeItHasSentAll) {
  with_client([](Way& way, Client& client) -> Task<void> {
    const auto listener = way.listen();
    Scope scope;
    scope.spawn([](Listener& from) -> Task<void> {
      std::array<char, 4096> buffer;
      while (true) {
        auto stream = co_await from.accept();
        if (!stream) co_return;
        (void)co_await (*stream)->read_some(std::span<char>(buffer));
        co_await (*stream)->write_all(
            std::string_view("HTTP/1.1 413 Too Large\r\nContent-Length: 4\r\n\r\nmuch"));
      }
    }(*listener));
    for (int i = 0; i < 4; ++i) {
      ClientRequest request = way.request("/");
      request.method = "POST";
      request.body.assign(std::size_t{4} << 20U, 'x');
      const std::string said = co_await outcome(client, std::move(request));
      EXPECT_TRUE(said == "413 much" || (said == "unavailable" && !way.reads_behind_a_reset())) << said;
      EXPECT_EQ(client.idle_connections(), 0U) << "the server has half a request";
    }
  });
}

TEST_P(ClientConformance, WaitsNoLongerThanItWasTold) {
  with_client([](Way& way, Client& client) -> Task<void> {
    WireServer server(way, [](ByteStream& to, std::string request) -> Task<bool> {
      if (path_of(request) == "/half")
        co_await to.write_all(std::string_view("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"));
      if (path_of(request) == "/whole") co_return co_await says_path()(to, std::move(request));
      Signal never;
      co_await never.wait();
      co_return false;
    });
    for (const char* path : {"/nothing", "/half"}) {
      ClientRequest request = way.request(path);
      request.head_timeout = request.read_timeout = 5ms;
      EXPECT_EQ(co_await outcome(client, std::move(request)), "deadline_exceeded") << path;
      EXPECT_EQ(client.idle_connections(), 0U);
      EXPECT_EQ(co_await outcome(client, way.request("/whole")), "200 /whole");
    }
  });
}

TEST_P(ClientConformance, AServerThatEndsKeptConnectionsIsAskedOnceForEachPost) {
  with_client([](Way& way, Client& client) -> Task<void> {
    WireServer server(way, [](ByteStream& to, std::string request) -> Task<bool> {
      co_await says_path()(to, std::move(request));
      co_await turns(3);
      co_return false;
    });
    for (int i = 0; i < 8; ++i) {
      const std::size_t before = server.requests;
      EXPECT_EQ(co_await outcome(client, way.request("/get")), "200 /get");
      ClientRequest post = way.request("/post");
      post.method = "POST";
      co_await turns(static_cast<unsigned>(i));
      const auto said = co_await client.send(std::move(post));
      if (!said) EXPECT_EQ(said.error().reason, "connection_lost") << said.error().message;
      EXPECT_LE(server.requests, before + 2);
    }
  });
}

TEST_P(ClientConformance, NobodyThereIsToldApart) {
  with_client([](Way& way, Client& client) -> Task<void> {
    way.listen().reset();
    const auto response = co_await client.send(way.request("/"));
    EXPECT_FALSE(response.has_value());
    if (response) co_return;
    EXPECT_EQ(response.error().code, ErrorCode::kUnavailable);
    EXPECT_EQ(response.error().origin, Origin::kEndpoint);
    EXPECT_EQ(response.error().reason, "connect_failed");
  });
}

template <class Made>
std::unique_ptr<Way> make() {
  return std::make_unique<Made>();
}

INSTANTIATE_TEST_SUITE_P(All, ClientConformance,
                         ::testing::Values(WayToIt{"Tcp", make<OverTcp>}, WayToIt{"Tls", make<OverTls>},
                                           WayToIt{"Proxy", make<ThroughProxy>},
                                           WayToIt{"Dialer", make<ByDialer>}),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace autoglm::http
