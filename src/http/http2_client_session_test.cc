#include "http/http2_client_session.h"

#include "http/testing/http2_test_fixture.h"
#include "runtime/race.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>

namespace autoglm::http {
namespace {

using namespace std::chrono_literals;

class Http2ClientSessionTest : public Http2ClientFixture {};

TEST_F(Http2ClientSessionTest, HeadsAreBounded) {
  const auto large = [](Http2TestConnection& connection, std::int32_t id) {
    const std::string path = connection.asked[id].head[":path"];
    if (path == "/head") {
      connection.respond(id, "200", {{"x", std::string(20'000, 'x')}}, "a", true);
    } else if (path == "/trailers") {
      connection.respond(id, "200", {}, "a", true, {{"x", std::string(20'000, 'x')}});
    } else if (path == "/interim") {
      for (int i = 0; i < 200; ++i) connection.head(id, {{":status", "103"}});
    } else {
      connection.head(id, {{":status", "100"}});
      echo(connection, id);
    }
  };
  with_server(large,
              [](Http2Client& client, Http2TestServer&) -> Task<void> {
                for (const char* path : {"/head", "/trailers", "/interim"}) {
                  auto call = client.call(head(path), true).value();
                  EXPECT_TRUE((co_await read_all(*call)).contains(" !the server's answer has")) << path;
                }
                auto call = client.call(head("/"), true).value();
                EXPECT_EQ(co_await read_all(*call), "POSTmodel.example");
              },
              {.head_bytes = 10'000});
}

TEST_F(Http2ClientSessionTest, AServerThatSpeaksNonsenseEndsTheConnection) {
  for (const char* nonsense :
       {"HTTP/1.1 400 Bad Request\r\n\r\n", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"}) {
    with_server([nonsense](Http2TestConnection& connection, std::int32_t) { connection.say(nonsense); },
                [](Http2Client& client, Http2TestServer&) -> Task<void> {
                  auto call = client.call(head("/"), true).value();
                  const auto answered = co_await call->answered();
                  EXPECT_EQ(answered.error().code, ErrorCode::kBadGateway);
                  EXPECT_EQ(answered.error().reason, kBrokenHttp2) << answered.error().message;
                  EXPECT_EQ((co_await client.ended()).reason, kBrokenHttp2);
                  EXPECT_FALSE(client.usable());
                });
  }
}

TEST_F(Http2ClientSessionTest, AStatusThatIsNoneFailsItsCallAlone) {
  const auto strange = [](Http2TestConnection& connection, std::int32_t id) {
    const std::string path = connection.asked[id].head[":path"];
    if (path == "/") return echo(connection, id);
    connection.respond(id, path.substr(1), {}, "", true);
  };
  with_server(strange, [](Http2Client& client, Http2TestServer&) -> Task<void> {
    for (const char* path : {"/000", "/099"}) {
      auto call = client.call(head(path), true).value();
      auto answered = co_await with_deadline(Deadline::after(10s), call->answered(), "it");
      EXPECT_EQ(answered.error().code, ErrorCode::kBadGateway) << path;
    }
    EXPECT_EQ(co_await read_all(*client.call(head("/"), true).value()), "POSTmodel.example");
  });
}

TEST_F(Http2ClientSessionTest, WhatIsWrittenBehindTheAnswerIsDropped) {
  const auto at_once = [](Http2TestConnection& connection, std::int32_t id) {
    if (std::exchange(connection.gives_windows, false)) connection.respond(id, "200", {}, "well", true);
  };
  with_server(at_once, [](Http2Client& client, Http2TestServer& server) -> Task<void> {
    auto call = client.call(head("/")).value();
    EXPECT_EQ(co_await read_all(*call), "well");
    EXPECT_TRUE(co_await call->write(std::string(1'000'000, 'x')));
    EXPECT_TRUE(co_await call->write(std::string(1'000'000, 'x'), true));
    EXPECT_TRUE(co_await until([&] { return server.connections[0]->asked[1].closed; }));
    EXPECT_EQ(server.connections[0]->asked[1].code, NGHTTP2_CANCEL) << "half a body must not look whole";
    EXPECT_TRUE(co_await until([&] { return client.calls() == 0; }));
  });
}

}  // namespace
}  // namespace autoglm::http
