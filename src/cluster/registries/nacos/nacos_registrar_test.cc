#include "cluster/registries/nacos/nacos_registrar.h"

#include "cluster/testing/nacos_test_server.h"
#include "http/testing/scripted_server.h"
#include "runtime/testing/for_turns.h"
#include "runtime/testing/run_task.h"

#include <gtest/gtest.h>

#include <functional>

namespace autoglm::cluster {
namespace {

using namespace std::chrono_literals;

std::string told(const std::string& body, int status = 200) {
  return "HTTP/1.1 " + std::to_string(status) +
         " X\r\nConnection: close\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}
const std::string kNobody = R"({"hosts":[]})";
const std::string kBeaten = R"({"clientBeatInterval":3000,"code":10200,"lightBeatEnabled":true})";
const std::string kForgotten = R"({"clientBeatInterval":5000,"code":20404,"lightBeatEnabled":true})";

const Registration kSelf{.service = "llm",
                         .id = "llm-1",
                         .host = "10.0.0.1",
                         .port = 8080,
                         .weight = 3,
                         .tags = {"prod", "gpu"},
                         .metadata = {{"models", "tiny"}}};

class NacosRegistrarTest : public ::testing::Test {
 public:
  static std::size_t count(const std::string& in, const std::string& text) {
    std::size_t found = 0;
    for (std::size_t at = 0; (at = in.find(text, at)) != std::string::npos; ++at) ++found;
    return found;
  }
  /// Runs `scenario` with a registrar before a server that gives these answers, one a connection; returns
  /// what was asked.
  template <class Scenario>
  std::string over_http(std::vector<std::string> answers, Scenario scenario) {
    std::string seen;
    run_task(loop_, [&]() -> Task<void> {
      http::ScriptedServer server(std::move(answers));
      http::Client client(pool_, nullptr);
      auto registrar = NacosRegistrar::create(
          {.access = {.address = server.url("/"), .transport = NacosTransport::kHttp}, .cluster = "hz"},
          client, pool_);
      EXPECT_TRUE(registrar);
      co_await scenario(**registrar);
      seen = server.seen;
    }());
    return seen;
  }
  /// The same before a server of gRPC; with `answers`, it speaks HTTP, too, and the way is found.
  template <class Scenario>
  std::string over_grpc(Scenario scenario, std::vector<std::string> answers = {}) {
    std::string seen;
    run_task(loop_, [&]() -> Task<void> {
      NacosTestServer server;
      const bool both = !answers.empty();
      http::ScriptedServer http(std::move(answers));
      const std::uint16_t port = http::Url::parse(http.url())->host.port;
      server.answers["ServiceQueryRequest"] = R"({"resultCode":200,"serviceInfo":{"hosts":[]}})";
      http::Client client(pool_, nullptr);
      auto registrar = NacosRegistrar::create(
          {.access = {.address = http.url(),
                      .transport = both ? NacosTransport::kAuto : NacosTransport::kGrpc,
                      // The sum wraps where the server's port is the lower one.
                      .grpc_port_offset = static_cast<std::uint16_t>(server.port() - port)}},
          client, pool_);
      EXPECT_TRUE(registrar);
      co_await scenario(**registrar, server);
      seen = http.seen;
    }());
    return seen;
  }
  static Task<bool> until(std::function<bool()> is_so) {
    for (int i = 0; i < 10'000 && !is_so(); ++i) co_await sleep_for(1ms);
    co_return is_so();
  }

  EventLoop loop_;
  BlockingPool pool_{1, 8};
};

TEST_F(NacosRegistrarTest, EntersAndBeatsAndEntersAgainWhenItWasForgotten) {
  const std::string seen = over_http(
      {told(kNobody), told("ok"), told(kBeaten), told(kForgotten), told(kNobody), told("ok"), told("ok")},
      [](Registrar& registrar) -> Task<void> {
        EXPECT_EQ(*co_await registrar.keep(kSelf), 15s);
        EXPECT_EQ(*co_await registrar.keep(kSelf), 9s) << "three beats";
        EXPECT_EQ(*co_await registrar.keep(kSelf), 15s);
        EXPECT_TRUE(co_await registrar.remove(kSelf));
        EXPECT_TRUE(co_await registrar.remove(kSelf)) << "nothing is left";
      });
  EXPECT_EQ(count(seen, "POST /nacos/v1/ns/instance HTTP"), 2U);
  EXPECT_EQ(count(seen, "PUT /nacos/v1/ns/instance/beat HTTP"), 2U);
  EXPECT_EQ(count(seen,
                  "DELETE /nacos/v1/ns/instance?serviceName=llm&groupName=DEFAULT_GROUP&namespaceId=public&"
                  "clusterName=hz&ip=10.0.0.1&port=8080&ephemeral=true HTTP"),
            1U)
      << seen;
  EXPECT_EQ(count(seen, "clusterName=hz&ip=10.0.0.1&port=8080&weight=3&"), 2U);
  // {"id":"llm-1","models":"tiny","tags":"prod,gpu"}
  EXPECT_EQ(count(seen,
                  "metadata=%7B%22id%22%3A%22llm-1%22%2C%22models%22%3A%22tiny%22%2C%22tags%22%3A%22prod%"
                  "2Cgpu%22%7D"),
            2U)
      << seen;
}

TEST_F(NacosRegistrarTest, AChangeIsWrittenAndAnotherAddressIsAnotherEntry) {
  const std::string seen =
      over_http({told(kNobody), told("ok"), told(kNobody), told("ok"), told("ok"), told(kNobody), told("ok")},
                [](Registrar& registrar) -> Task<void> {
                  EXPECT_TRUE(co_await registrar.keep(kSelf));
                  Registration other = kSelf;
                  other.weight = 5;
                  EXPECT_TRUE(co_await registrar.keep(other));
                  other.port = 9090;
                  EXPECT_TRUE(co_await registrar.keep(other));
                });
  EXPECT_EQ(count(seen, "weight=5"), 2U);
  EXPECT_EQ(count(seen, "DELETE /nacos/v1/ns/instance?"), 1U);
  EXPECT_EQ(count(seen, "port=9090"), 1U);
}

TEST_F(NacosRegistrarTest, AServerWithoutTheOldApiIsTold) {
  const std::string seen =
      over_http({told("", 410), told(R"({"code":0,"data":[]})"), told(R"({"code":0,"data":"ok"})"),
                 told(R"({"code":0,"data":"ok"})"), told(R"({"code":21003,"message":"instance not found"})"),
                 told(R"({"code":0,"data":[]})"), told(R"({"code":0,"data":"ok"})")},
                [](Registrar& registrar) -> Task<void> {
                  EXPECT_TRUE(co_await registrar.keep(kSelf));
                  EXPECT_TRUE(co_await registrar.keep(kSelf));
                  EXPECT_TRUE(co_await registrar.keep(kSelf));
                });
  EXPECT_EQ(count(seen, "POST /nacos/v3/client/ns/instance HTTP"), 4U) << seen;
  EXPECT_EQ(count(seen, "heartBeat=true"), 2U);
}

TEST_F(NacosRegistrarTest, AnotherServerWithOurIdIsSaid) {
  const auto with_id = [](const std::string& ip, const std::string& more) {
    return told(R"({"hosts":[{"ip":")" + ip + R"(","port":8080,"metadata":{"id":"llm-1"})" + more + "}]}");
  };
  over_http({with_id("10.0.0.2", ""), with_id("10.0.0.2", R"(,"healthy":false)"), told("ok")},
            [](Registrar& registrar) -> Task<void> {
              const auto taken = co_await registrar.keep(kSelf);
              EXPECT_EQ(taken.error().reason, kIdTaken);
              EXPECT_TRUE(taken.error().message.contains("10.0.0.2:8080")) << taken.error().message;
              EXPECT_TRUE(co_await registrar.keep(kSelf)) << "that one is dead";
            });
  over_http({with_id("10.0.0.1", ""), told("ok")}, [](Registrar& registrar) -> Task<void> {
    EXPECT_TRUE(co_await registrar.keep(kSelf)) << "we were that one";
  });
}

TEST_F(NacosRegistrarTest, OverGrpcTheConnectionKeepsTheEntry) {
  over_grpc([](Registrar& registrar, NacosTestServer& server) -> Task<void> {
    EXPECT_TRUE(co_await registrar.keep(kSelf));
    EXPECT_EQ(server.seen.back().type, "InstanceRequest");
    EXPECT_TRUE(server.seen.back().body.contains(
        R"("serviceName":"llm","groupName":"DEFAULT_GROUP","type":"registerInstance","instance":{"ip":"10.0.0.1","port":8080,"weight":3,)"))
        << server.seen.back().body;
    EXPECT_TRUE(co_await registrar.keep(kSelf));
    EXPECT_EQ(server.seen.back().type, "HealthCheckRequest");
    EXPECT_EQ(server.asked("InstanceRequest"), 1U);
    EXPECT_EQ(server.connections(), 1U);
    // A connection that is lost took the entry along.
    server.last_connection().close();
    co_await turns(50);
    EXPECT_TRUE(co_await registrar.keep(kSelf));
    EXPECT_EQ(server.connections(), 2U);
    EXPECT_EQ(server.asked("InstanceRequest"), 2U);
    EXPECT_TRUE(co_await registrar.remove(kSelf));
    EXPECT_EQ(server.asked("InstanceRequest"), 3U);
    EXPECT_TRUE(server.seen.back().body.contains("deregisterInstance"));
    co_await turns(50);
    EXPECT_TRUE(server.last_connection().ended);
  });
}

TEST_F(NacosRegistrarTest, OverGrpcAnotherServerWithOurIdIsSaid) {
  over_grpc([](Registrar& registrar, NacosTestServer& server) -> Task<void> {
    server.answers["ServiceQueryRequest"] =
        R"({"resultCode":200,"serviceInfo":{"hosts":[{"ip":"10.0.0.9","port":1,"metadata":{"id":"llm-1"}}]}})";
    EXPECT_EQ((co_await registrar.keep(kSelf)).error().reason, kIdTaken);
    EXPECT_EQ(server.asked("InstanceRequest"), 0U);
  });
}

const std::string kRefused = R"({"resultCode":500,"errorCode":403,"message":"authorization failed!"})";

TEST_F(NacosRegistrarTest, OverGrpcARefusalToGoStopsNobody) {
  over_grpc([](Registrar& registrar, NacosTestServer& server) -> Task<void> {
    EXPECT_TRUE(co_await registrar.keep(kSelf));
    server.answers["InstanceRequest"] = kRefused;
    EXPECT_TRUE(co_await registrar.remove(kSelf)) << "the connection is the entry";
    EXPECT_EQ(server.asked("InstanceRequest"), 2U);
    EXPECT_TRUE(co_await until([&] { return server.last_connection().ended; }));
  });
}

TEST_F(NacosRegistrarTest, OverGrpcWhatMayStandIsWrittenAgainAndTakenBack) {
  over_grpc([](Registrar& registrar, NacosTestServer& server) -> Task<void> {
    server.answers["InstanceRequest"] = kRefused;
    EXPECT_FALSE(co_await registrar.keep(kSelf));
    EXPECT_FALSE(co_await registrar.keep(kSelf));
    EXPECT_EQ(server.asked("InstanceRequest"), 2U);
    EXPECT_TRUE(co_await registrar.remove(kSelf));
    EXPECT_TRUE(server.seen.back().body.contains("deregisterInstance"));
    EXPECT_TRUE(co_await until([&] { return server.last_connection().ended; }));
  });
}

TEST_F(NacosRegistrarTest, OverHttpWhatMayStandIsWrittenAgainAndTakenBack) {
  const std::string seen =
      over_http({told(kNobody), "", told(kNobody), "", told("ok")}, [](Registrar& registrar) -> Task<void> {
        EXPECT_FALSE(co_await registrar.keep(kSelf)) << "the answer was lost";
        EXPECT_FALSE(co_await registrar.keep(kSelf));
        EXPECT_TRUE(co_await registrar.remove(kSelf));
      });
  EXPECT_EQ(count(seen, "POST /nacos/v1/ns/instance HTTP"), 2U) << seen;
  EXPECT_EQ(count(seen, "DELETE /nacos/v1/ns/instance?"), 1U) << seen;
}

TEST_F(NacosRegistrarTest, OverGrpcTheOldEntryStandsUntilTheNewOneDoes) {
  over_grpc([](Registrar& registrar, NacosTestServer& server) -> Task<void> {
    EXPECT_TRUE(co_await registrar.keep(kSelf));
    server.push({.type = "ConnectResetRequest", .body = R"({"requestId":"9"})"});
    EXPECT_TRUE(co_await until([&] { return server.asked("ConnectResetResponse") == 1; }));
    server.answers["ServerCheckRequest"] = kRefused;
    EXPECT_FALSE(co_await registrar.keep(kSelf));
    EXPECT_FALSE(server.connection(0).ended) << "its entry is the only one";
    server.answers.erase("ServerCheckRequest");
    server.answers["InstanceRequest"] = kRefused;
    EXPECT_FALSE(co_await registrar.keep(kSelf));
    EXPECT_FALSE(server.connection(0).ended);
    server.answers.erase("InstanceRequest");
    EXPECT_TRUE(co_await registrar.keep(kSelf));
    for (std::size_t i = 0; i + 1 < server.connections(); ++i)
      EXPECT_TRUE(co_await until([&] { return server.connection(i).ended; })) << i;
    EXPECT_FALSE(server.last_connection().ended);
    EXPECT_TRUE(co_await registrar.keep(kSelf));
    EXPECT_EQ(server.seen.back().type, "HealthCheckRequest");
  });
}

TEST_F(NacosRegistrarTest, WhenTheWayChangesTheOtherEntryGoes) {
  const std::string seen = over_grpc(
      [](Registrar& registrar, NacosTestServer& server) -> Task<void> {
        EXPECT_TRUE(co_await registrar.keep(kSelf));
        server.push({.type = "ConnectResetRequest", .body = R"({"requestId":"9"})"});
        EXPECT_TRUE(co_await until([&] { return server.asked("ConnectResetResponse") == 1; }));
        server.answers["ServerCheckRequest"] = "<html>";
        EXPECT_TRUE(co_await registrar.keep(kSelf)) << "over HTTP";
        EXPECT_TRUE(co_await until([&] { return server.connection(0).ended; }));
        EXPECT_TRUE(co_await registrar.remove(kSelf));
      },
      {told(kNobody), told("ok"), told("ok")});
  EXPECT_EQ(count(seen, "POST /nacos/v1/ns/instance HTTP"), 1U) << seen;
  EXPECT_EQ(count(seen, "DELETE /nacos/v1/ns/instance?"), 1U) << seen;
}

TEST_F(NacosRegistrarTest, AWeightIsNoMoreThanNacosTakes) {
  Registration heavy = kSelf;
  heavy.weight = 20'000;
  const std::string seen = over_http({told(kNobody), told("ok")}, [&](Registrar& registrar) -> Task<void> {
    EXPECT_TRUE(co_await registrar.keep(heavy));
  });
  EXPECT_EQ(count(seen, "&weight=10000&"), 1U) << seen;
}

TEST_F(NacosRegistrarTest, TheProtectionThresholdMakesNoDeadServerOurNamesake) {
  over_http({told(R"({"hosts":[{"ip":"10.0.0.2","port":1,"healthy":false,"metadata":{"id":"llm-1"}}],)"
                  R"("reachProtectionThreshold":true})"),
             told("ok")},
            [](Registrar& registrar) -> Task<void> { EXPECT_TRUE(co_await registrar.keep(kSelf)); });
}

}  // namespace
}  // namespace autoglm::cluster
