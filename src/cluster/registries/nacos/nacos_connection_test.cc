#include "cluster/registries/nacos/nacos_connection.h"

#include "cluster/testing/nacos_test_server.h"
#include "runtime/testing/for_turns.h"
#include "runtime/testing/run_task.h"

#include <gtest/gtest.h>

#include <functional>

namespace autoglm::cluster {
namespace {

using namespace std::chrono_literals;

class NacosConnectionTest : public ::testing::Test {
 public:
  template <class Scenario>
  void with_server(Scenario scenario) {
    run_task(loop_, [&]() -> Task<void> {
      NacosTestServer server;
      co_await scenario(server);
    }());
  }
  Task<Result<std::unique_ptr<NacosConnection>>> open(const NacosTestServer& server) {
    return NacosConnection::open(pool_, {.target = {.host = {"127.0.0.1", server.port()}},
                                         .module = "naming",
                                         .name_space = "public",
                                         .token = "t-1"});
  }
  static Task<bool> until(std::function<bool()> is_so) {
    for (int i = 0; i < 10'000 && !is_so(); ++i) co_await sleep_for(1ms);
    co_return is_so();
  }

  EventLoop loop_;
  BlockingPool pool_{1, 8};
};

TEST_F(NacosConnectionTest, IsSetUpAndAsks) {
  with_server([this](NacosTestServer& server) -> Task<void> {
    server.answers["ServiceQueryRequest"] = R"({"resultCode":200,"serviceInfo":{"hosts":[]}})";
    auto connection = (co_await open(server)).value();
    EXPECT_EQ(*co_await connection->ask({.type = "ServiceQueryRequest", .body = "{}"}),
              R"({"resultCode":200,"serviceInfo":{"hosts":[]}})");
    EXPECT_EQ(server.seen.size(), 3U);
    EXPECT_EQ(server.seen[0].type, "ServerCheckRequest");
    EXPECT_EQ(server.seen[1].type, "ConnectionSetupRequest");
    EXPECT_TRUE(
        server.seen[1].body.contains(R"("tenant":"public","labels":{"source":"sdk","module":"naming"})"))
        << server.seen[1].body;
  });
}

TEST_F(NacosConnectionTest, AnOlderServerSaysNothingOfTheSetup) {
  with_server([this](NacosTestServer& server) -> Task<void> {
    server.acknowledges = false;
    auto connection = co_await open(server);
    EXPECT_TRUE(connection);
    EXPECT_TRUE(co_await (*connection)->ask({.type = "HealthCheckRequest", .body = "{}"}));
  });
}

TEST_F(NacosConnectionTest, WhatIsPushedIsAnsweredWithItsId) {
  with_server([this](NacosTestServer& server) -> Task<void> {
    auto connection = (co_await open(server)).value();
    server.push({.type = "ClientDetectionRequest", .body = R"({"requestId":"7"})"});
    server.push({.type = "NotifySubscriberRequest", .body = R"({"requestId":"8","serviceInfo":1})"});
    const auto pushed = co_await connection->next();
    EXPECT_EQ(pushed->type, "NotifySubscriberRequest");
    EXPECT_EQ(pushed->body, R"({"requestId":"8","serviceInfo":1})");
    EXPECT_TRUE(co_await until([&] { return server.seen.size() == 4; }));
    EXPECT_EQ(server.seen[2].type, "ClientDetectionResponse");
    EXPECT_TRUE(server.seen[2].body.contains(R"("requestId":"7")")) << server.seen[2].body;
    EXPECT_EQ(server.seen[3].type, "NotifySubscriberResponse");
    EXPECT_TRUE(server.seen[3].body.contains(R"("requestId":"8")")) << server.seen[3].body;
  });
}

TEST_F(NacosConnectionTest, OfPushesThatWaitOnlyTheNewestIsKept) {
  with_server([this](NacosTestServer& server) -> Task<void> {
    auto connection = (co_await open(server)).value();
    for (int i = 0; i < 1000; ++i)
      server.push(
          {.type = "NotifySubscriberRequest", .body = R"({"requestId":")" + std::to_string(i) + "\"}"});
    EXPECT_TRUE(co_await until([&] { return server.asked("NotifySubscriberResponse") == 1000; }));
    EXPECT_EQ((co_await connection->next())->body, R"({"requestId":"999"})");
  });
}

TEST_F(NacosConnectionTest, WhatIsNoNewsTakesNoPlaceOfNews) {
  with_server([this](NacosTestServer& server) -> Task<void> {
    auto connection = (co_await open(server)).value();
    server.push({.type = "NotifySubscriberRequest", .body = R"({"requestId":"8"})"});
    server.push({.type = "ConfigMetricRequest", .body = R"({"requestId":"9"})"});
    server.push({.type = "ClientDetectionRequest", .body = R"({"requestId":"10"})"});
    EXPECT_TRUE(co_await until([&] { return server.asked("ClientDetectionResponse") == 1; }));
    EXPECT_EQ((co_await connection->next())->body, R"({"requestId":"8"})");
  });
}

TEST_F(NacosConnectionTest, AServerThatSendsUsElsewhereIsLeft) {
  with_server([this](NacosTestServer& server) -> Task<void> {
    auto connection = (co_await open(server)).value();
    server.push({.type = "ConnectResetRequest", .body = R"({"requestId":"9","serverIp":"10.0.0.2"})"});
    EXPECT_FALSE(co_await connection->next());
    EXPECT_TRUE(connection->over());
    EXPECT_TRUE(co_await until([&] { return server.asked("ConnectResetResponse") == 1; }));
  });
}

TEST_F(NacosConnectionTest, RefusalsAreErrorsAndOnlySomeEndIt) {
  with_server([this](NacosTestServer& server) -> Task<void> {
    auto connection = (co_await open(server)).value();
    server.answers["ConfigQueryRequest"] =
        R"({"resultCode":500,"errorCode":300,"message":"config data not exist"})";
    server.answers["InstanceRequest"] =
        R"({"resultCode":500,"errorCode":403,"message":"authorization failed!"})";
    server.answers["ServiceQueryRequest"] =
        R"({"resultCode":500,"errorCode":301,"message":"Connection is unregistered."})";
    EXPECT_EQ((co_await connection->ask({.type = "ConfigQueryRequest", .body = "{}"})).error().code,
              ErrorCode::kNotFound);
    EXPECT_EQ((co_await connection->ask({.type = "InstanceRequest", .body = "{}"})).error().code,
              ErrorCode::kPermissionDenied);
    EXPECT_FALSE(connection->over());
    EXPECT_EQ((co_await connection->ask({.type = "ServiceQueryRequest", .body = "{}"})).error().code,
              ErrorCode::kUnavailable);
    EXPECT_TRUE(connection->over()) << "the server does not know it";
  });
}

TEST_F(NacosConnectionTest, AFrozenServerIsNoticed) {
  with_server([this](NacosTestServer& server) -> Task<void> {
    auto connection = (co_await open(server)).value();
    server.last_connection().freeze();
    const auto pushed = co_await connection->next();  // within 8 seconds, or never
    EXPECT_EQ(pushed.error().code, ErrorCode::kDeadlineExceeded);
  });
}

TEST_F(NacosConnectionTest, AnotherServerIsNoNacos) {
  with_server([this](NacosTestServer& server) -> Task<void> {
    server.answers["ServerCheckRequest"] = "<html>";
    EXPECT_EQ((co_await open(server)).error().code, ErrorCode::kBadGateway);
  });
  run_task(loop_, [](BlockingPool& pool) -> Task<void> {
    http::Http2TestServer server([](http::Http2TestConnection& connection, std::int32_t id) {
      if (connection.asked[id].whole) connection.respond(id, "404", {}, "", true);
    });
    const auto connection = co_await NacosConnection::open(
        pool, {.target = {.host = {"127.0.0.1", server.port()}}, .module = "naming", .name_space = "public"});
    EXPECT_EQ(connection.error().reason, kNoNacosGrpc);
  }(pool_));
}

TEST_F(NacosConnectionTest, DestroyedAtAnyMomentItLeavesNothingBehind) {
  for (TurnCounts count; !count.over(); count.advance()) {
    with_server([this, count](NacosTestServer& server) -> Task<void> {
      co_await for_turns(count.now(), [](NacosConnectionTest& test, NacosTestServer& from) -> Task<bool> {
        auto connection = co_await test.open(from);
        if (!connection) co_return false;
        from.push({.type = "NotifySubscriberRequest", .body = R"({"requestId":"8"})"});
        co_await (*connection)->next();
        co_await (*connection)->ask({.type = "ServiceQueryRequest", .body = "{}"});
        co_return true;
      }(*this, server));
      for (std::size_t i = 0; i < server.connections(); ++i)
        EXPECT_TRUE(co_await until([&] { return server.connection(i).ended; }));
    });
  }
}

TEST(NacosPayload, IsReadBack) {
  const auto message = read_nacos_payload(write_nacos_payload({.type = "A", .body = "{}"}, "t"));
  EXPECT_EQ(message->type, "A");
  EXPECT_EQ(message->body, "{}");
  // As Python wrote one: metadata{type=3, clientIp=8, headers=7}, body{value=2}.
  const std::string theirs(
      "\x12\x11\x1a\x04Type\x42\x09"
      "127.0.0.1\x1a\x04\x12\x02{}",
      25);
  EXPECT_EQ(read_nacos_payload(theirs)->type, "Type");
  EXPECT_FALSE(read_nacos_payload("\xff\xff"));
  EXPECT_FALSE(read_nacos_payload(""));
}

}  // namespace
}  // namespace autoglm::cluster
