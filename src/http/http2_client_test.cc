#include "http/http2_client.h"

#include "http/testing/http2_test_fixture.h"
#include "http/testing/server_fixture.h"
#include "runtime/race.h"
#include "runtime/testing/for_turns.h"
#include "runtime/testing/run_task.h"
#include "runtime/testing/self_signed.h"
#include "runtime/tls_server.h"

#include <gtest/gtest.h>

#include <functional>
#include <optional>
#include <string>

namespace autoglm::http {
namespace {

class Http2ClientTest : public Http2ClientFixture {};

TEST_F(Http2ClientTest, SendsACallAndReadsItsAnswer) {
  with_server(echo, [](Http2Client& client, Http2TestServer&) -> Task<void> {
    auto call = client.call(head("/a?b", {{"x-a", "1"}})).value();
    EXPECT_TRUE(co_await call->write("Hel") && co_await call->write("lo", true) && co_await call->answered());
    EXPECT_EQ(call->status(), 200);
    EXPECT_EQ(call->headers(), (Fields{{"x-path", "/a?b"}, {"x-a", "1"}}));
    EXPECT_EQ(co_await read_all(*call), "POSTmodel.exampleHello");
    EXPECT_EQ(call->trailers(), (Fields{{"end", "well"}}));
    EXPECT_EQ(client.calls(), 0U);
    EXPECT_EQ(co_await read_all(*client.call({.method = "GET", .authority = "a", .path = "/"}, true).value()),
              "GETa");
  });
}

TEST_F(Http2ClientTest, BothDirectionsAreStreams) {
  const auto back = [](Http2TestConnection& connection, std::int32_t id) {
    auto& asked = connection.asked[id];
    if (asked.body.empty()) return connection.respond(id, "200", {}, "", false);
    connection.send(id, "<" + std::exchange(asked.body, {}) + ">", asked.whole);
  };
  with_server(back, [](Http2Client& client, Http2TestServer&) -> Task<void> {
    auto call = client.call(head("/")).value();
    EXPECT_TRUE(co_await call->answered()) << "before anything is sent";
    std::string text;
    EXPECT_TRUE(co_await call->write("a"));
    EXPECT_EQ(*co_await call->read(text), 3U);
    EXPECT_TRUE(co_await call->write("b", true));
    EXPECT_EQ(co_await read_all(*call), "<b>");
    EXPECT_EQ(text, "<a>");
  });
}

TEST_F(Http2ClientTest, WhatIsNotReadStaysInTheServer) {
  static constexpr std::size_t kBody = 4'000'000;
  const auto much = [](Http2TestConnection& connection, std::int32_t id) {
    if (connection.asked[id].head[":path"] != "/much") return echo(connection, id);
    connection.respond(id, "200", {}, std::string(kBody, 'x'), true);
  };
  with_server(much,
              [](Http2Client& client, Http2TestServer& server) -> Task<void> {
                auto call = client.call(head("/much"), true).value();
                EXPECT_TRUE(co_await call->answered());
                // Another call goes through meanwhile.
                EXPECT_EQ(co_await read_all(*client.call(head("/"), true).value()), "POSTmodel.example");
                EXPECT_GE(server.connections[0]->asked[1].unsent.size(), kBody - 100'000) << "held back";
                EXPECT_EQ((co_await read_all(*call)).size(), kBody);
              },
              {.call_window = 100'000});
}

TEST_F(Http2ClientTest, AWriterWaitsForTheServersWindow) {
  with_server(
      [](Http2TestConnection& connection, std::int32_t id) {
        if (connection.asked[id].body.empty()) connection.gives_windows = false;
      },
      [](Http2Client& client, Http2TestServer& server) -> Task<void> {
        auto call = client.call(head("/")).value();
        const std::string much(1'000'000, 'x');
        auto first = co_await for_turns(200, call->write(much, true));
        EXPECT_FALSE(first) << "65,535 bytes fit into the window, 64 KiB wait here";
        EXPECT_EQ(server.connections[0]->asked[1].body.size(), 65'535U);
        server.connections[0]->gives_windows = true;
        server.connections[0]->give_window(1, 65'535);
        EXPECT_TRUE(co_await until([&] { return server.connections[0]->asked[1].whole; }));
        EXPECT_TRUE(server.connections[0]->asked[1].body == much) << "what was taken is sent, once";
      });
}

TEST_F(Http2ClientTest, ADestroyedCallIsResetAndOthersGoOn) {
  const auto later = [](Http2TestConnection& connection, std::int32_t id) {
    if (connection.asked[id].head[":path"] == "/long")
      connection.respond(id, "200", {}, std::string(300'000, 'x'), false);
  };
  with_server(later, [](Http2Client& client, Http2TestServer& server) -> Task<void> {
    auto stays = client.call(head("/stays"), true).value();
    for (int i = 0; i < 100; ++i) {  // 30 MB, more than the connection's window
      auto call = client.call(head("/long")).value();
      EXPECT_TRUE(co_await call->answered());
    }
    EXPECT_TRUE(co_await until([&] { return client.calls() == 1; }));
    auto& connection = *server.connections[0];
    EXPECT_TRUE(co_await until([&] { return connection.asked[201].closed; }));
    EXPECT_EQ(connection.asked[201].code, NGHTTP2_CANCEL);
    connection.respond(1, "200", {}, "well", true);
    EXPECT_EQ(co_await read_all(*stays), "well");
  });
}

TEST_F(Http2ClientTest, AResetFailsItsCallAlone) {
  const auto resets = [](Http2TestConnection& connection, std::int32_t id) {
    const std::string path = connection.asked[id].head[":path"];
    if (path == "/refuse") return connection.reset(id, NGHTTP2_REFUSED_STREAM);
    if (path == "/break") {
      connection.respond(id, "200", {}, "half", false);
      return;
    }
    echo(connection, id);
  };
  with_server(resets, [](Http2Client& client, Http2TestServer& server) -> Task<void> {
    auto refused = client.call(head("/refuse"), true).value();
    EXPECT_EQ((co_await refused->answered()).error().reason, kCallRefused);
    auto broken = client.call(head("/break"), true).value();
    std::string text;
    EXPECT_TRUE(co_await broken->read(text));
    server.connections[0]->reset(3, NGHTTP2_INTERNAL_ERROR);
    const auto rest = co_await broken->read(text);
    EXPECT_EQ(rest.error().code, ErrorCode::kUnavailable);
    EXPECT_NE(rest.error().reason, kCallRefused) << "it has begun";
    EXPECT_EQ(text, "half");
    EXPECT_EQ(co_await read_all(*client.call(head("/"), true).value()), "POSTmodel.example");
  });
}

TEST_F(Http2ClientTest, AServerThatGoesFinishesWhatItHasBegun) {
  with_server([](Http2TestConnection&, std::int32_t) {},
              [](Http2Client& client, Http2TestServer& server) -> Task<void> {
                auto first = client.call(head("/"), true).value();
                auto second = client.call(head("/"), true).value();
                EXPECT_TRUE(co_await until(
                    [&] { return !server.connections.empty() && server.connections[0]->asked.size() == 2; }));
                server.connections[0]->go_away(1, NGHTTP2_ENHANCE_YOUR_CALM, "too_many_pings");
                const auto answered = co_await second->answered();
                EXPECT_EQ(answered.error().reason, kCallRefused);
                EXPECT_TRUE(answered.error().message.contains("too_many_pings")) << answered.error().message;
                EXPECT_FALSE(client.usable());
                EXPECT_EQ(client.call(head("/")).error().reason, kCallRefused);
                server.connections[0]->respond(1, "200", {}, "well", true);
                EXPECT_EQ(co_await read_all(*first), "well");
                const Error why = co_await client.ended();
                EXPECT_EQ(why.code, ErrorCode::kUnavailable);
              });
}

TEST_F(Http2ClientTest, ALostConnectionFailsAllCalls) {
  with_server([](Http2TestConnection&, std::int32_t) {},
              [](Http2Client& client, Http2TestServer& server) -> Task<void> {
                auto first = client.call(head("/")).value();
                auto second = client.call(head("/"), true).value();
                EXPECT_TRUE(co_await until(
                    [&] { return !server.connections.empty() && server.connections[0]->asked.size() == 2; }));
                server.connections[0]->close();
                EXPECT_EQ((co_await first->answered()).error().reason, "connection_lost");
                std::string text;
                EXPECT_EQ((co_await second->read(text)).error().reason, "connection_lost");
                EXPECT_EQ((co_await first->write("x")).error().reason, "connection_lost");
                EXPECT_EQ((co_await client.ping(Deadline::after(10s))).error().reason, "connection_lost");
                EXPECT_FALSE(client.usable());
              });
}

TEST_F(Http2ClientTest, PingsAreAnsweredOrTheServerIsFrozen) {
  with_server(echo, [](Http2Client& client, Http2TestServer& server) -> Task<void> {
    EXPECT_TRUE(co_await client.ping(Deadline::after(10s)) && co_await client.ping(Deadline::after(10s)));
    server.connections[0]->freeze();
    EXPECT_EQ((co_await client.ping(Deadline::after(20ms))).error().code, ErrorCode::kDeadlineExceeded);
  });
}

TEST_F(Http2ClientTest, TheServersNumberOfCallsIsKept) {
  with_server([](Http2TestConnection&, std::int32_t) {},
              [](Http2Client& client, Http2TestServer& server) -> Task<void> {
                EXPECT_TRUE(co_await client.ping(Deadline::after(10s)));
                EXPECT_EQ(client.most_calls(), 2U);
                std::vector<std::unique_ptr<Http2Call>> calls;
                for (int i = 0; i < 4; ++i) calls.push_back(client.call(head("/"), true).value());
                auto& connection = *server.connections[0];
                EXPECT_TRUE(co_await client.ping(Deadline::after(10s)));
                EXPECT_EQ(connection.asked.size(), 2U);
                calls[3].reset();  // it was never sent
                connection.respond(1, "200", {}, "a", true);
                EXPECT_EQ(co_await read_all(*calls[0]), "a");
                EXPECT_TRUE(co_await until([&] { return connection.asked.size() == 3; }));
                connection.respond(5, "200", {}, "c", true);
                EXPECT_EQ(co_await read_all(*calls[2]), "c");
                EXPECT_EQ(connection.asked.size(), 3U);
              },
              {}, {{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 2}});
}

TEST_F(Http2ClientTest, WhereNobodyListensIsNoConnection) {
  run_task(loop_, [](BlockingPool& pool) -> Task<void> {
    const auto client =
        co_await Http2Client::connect(pool, {.host = {"127.0.0.1", 1}}, Deadline::after(10s), {});
    EXPECT_EQ(client.error().reason, "connect_failed");
  }(pool_));
}

TEST_F(Http2ClientTest, DestroyedAtAnyMomentItLeavesNothingBehind) {
  for (TurnCounts count; !count.over(); count.advance()) {
    with_server(
        [](Http2TestConnection& connection, std::int32_t id) {
          if (connection.asked[id].whole)
            connection.respond(id, "200", {}, std::string(50'000, 'x'), true, {{"a", "b"}});
        },
        [count](Http2Client& client, Http2TestServer& server) -> Task<void> {
          std::unique_ptr<Http2Call> kept = client.call(head("/kept")).value();
          co_await for_turns(count.now(), [](Http2Client& from) -> Task<bool> {
            auto call = from.call(head("/")).value();
            co_await call->write(std::string(200'000, 'y'), true);
            co_await read_all(*call);
            co_await from.ping(Deadline::after(10s));
            co_return true;
          }(client));
          // The connection serves on.
          EXPECT_TRUE(co_await kept->write("z", true));
          EXPECT_EQ((co_await read_all(*kept)).size(), 50'000U);
          EXPECT_TRUE(co_await until([&] { return client.calls() == 0; }) && server.connections.size() == 1);
        });
  }
}

TEST_F(Http2ClientTest, ACallOutlivesItsConnection) {
  run_task(loop_, [](BlockingPool& pool) -> Task<void> {
    Http2TestServer server(Http2ClientFixture::echo);
    auto client = (co_await Http2Client::connect(pool, {.host = {"127.0.0.1", server.port()}},
                                                 Deadline::after(10s), {}))
                      .value();
    auto call = client->call(head("/")).value();
    EXPECT_TRUE(co_await client->ping(Deadline::after(10s)));
    client.reset();
    EXPECT_FALSE(co_await call->write("a", true) || co_await call->answered());
    call.reset();
    EXPECT_TRUE(co_await until([&] { return server.connections[0]->ended; }));
  }(pool_));
}

TEST_F(Http2ClientTest, BehindItsLoopItIsDestroyedQuietly) {
  std::unique_ptr<Http2Client> client;
  std::unique_ptr<Http2Call> call;
  Scope scope;
  run_task(loop_,
           [](BlockingPool& pool, std::unique_ptr<Http2Client>& kept, std::unique_ptr<Http2Call>& asked,
              Scope& beside) -> Task<void> {
             Http2TestServer server(Http2ClientFixture::echo);
             kept = (co_await Http2Client::connect(pool, {.host = {"127.0.0.1", server.port()}},
                                                   Deadline::after(10s), {}))
                        .value();
             asked = kept->call(head("/")).value();
             beside.spawn([](Http2Client& from) -> Task<void> { co_await from.ended(); }(*kept));
             EXPECT_TRUE(co_await kept->ping(Deadline::after(10s)));
           }(pool_, client, call, scope));
  call.reset();
  client.reset();
}

TEST_F(Http2ClientTest, OverTlsTheServerMustChooseHttp2) {
  run_task(loop_, [](BlockingPool& pool) -> Task<void> {
    const SelfSigned self("model.example");
    const auto trusts = TlsClientContext::create({.ca_file = self.pair.certificate_file}).value();
    for (const bool speaks : {true, false}) {
      auto tls = TlsServerContext::create(
                     {.certificates = {self.pair},
                      .protocols = speaks ? std::vector<std::string>{"h2"} : std::vector<std::string>()})
                     .value();
      auto listener = TcpListener::create(EventLoop::current(), {"127.0.0.1", 0}).value();
      std::unique_ptr<Http2TestConnection> server;
      Scope scope;
      scope.spawn([](TcpListener& from, std::shared_ptr<const TlsServerContext> with,
                     std::unique_ptr<Http2TestConnection>& out) -> Task<void> {
        auto stream = (co_await from.accept()).value();
        auto accepted = co_await tls_accept(with, std::move(stream), Deadline::after(10s));
        if (accepted)
          out = std::make_unique<Http2TestConnection>(std::move(accepted->stream), Http2ClientFixture::echo,
                                                      std::vector<nghttp2_settings_entry>());
      }(*listener, tls, server));
      auto client = co_await Http2Client::connect(
          pool, {.host = {"127.0.0.1", listener->port()}, .tls = trusts, .tls_name = "model.example"},
          Deadline::after(10s), {});
      EXPECT_EQ(client.has_value(), speaks);
      if (client) {
        EXPECT_EQ(co_await read_all(*(*client)->call(head("/"), true).value()), "POSTmodel.example");
      } else {
        EXPECT_TRUE(client.error().message.contains("h2")) << client.error().message;
      }
    }
  }(pool_));
}

class Http2ClientAndServer : public ServerTest {};

TEST_F(Http2ClientAndServer, SpeakToEachOther) {
  serve([this](std::uint16_t port) -> Task<void> {
    auto client =
        (co_await Http2Client::connect(pool_, {.host = {"127.0.0.1", port}}, Deadline::after(10s), {}))
            .value();
    const std::string much(3'000'000, 'x');
    auto call = client->call(Http2ClientTest::head("/echo")).value();
    EXPECT_TRUE(co_await call->write(much, true) && co_await Http2ClientTest::read_all(*call) == much);
    auto stream = client->call(Http2ClientTest::head("/stream"), true).value();
    EXPECT_EQ(co_await Http2ClientTest::read_all(*stream), "part0part1part2");
    auto flood = client->call(Http2ClientTest::head("/flood"), true).value();
    EXPECT_TRUE(co_await flood->answered());
    flood.reset();
    co_await handler_.left_signal.wait();
  });
}

}  // namespace
}  // namespace autoglm::http
