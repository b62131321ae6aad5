#include "cluster/registries/nacos/nacos_registry.h"

#include "cluster/testing/kept_instances.h"
#include "cluster/testing/nacos_test_server.h"
#include "http/testing/scripted_server.h"
#include "runtime/testing/for_turns.h"
#include "runtime/testing/run_task.h"

#include <gtest/gtest.h>

namespace autoglm::cluster {
namespace {

using namespace std::chrono_literals;

std::string said(const std::string& body, int status = 200) {
  return "HTTP/1.1 " + std::to_string(status) +
         " X\r\nConnection: close\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}
std::string hosts(const std::vector<int>& ports) {
  std::string body;
  for (const int port : ports)
    body += (body.empty() ? "" : ",") + (R"({"ip":"10.0.0.1","port":)" + std::to_string(port)) + "}";
  return body;
}
std::string v1(const std::vector<int>& ports) { return said(R"({"hosts":[)" + hosts(ports) + "]}"); }
std::string v3(const std::vector<int>& ports) { return said(R"({"code":0,"data":[)" + hosts(ports) + "]}"); }
std::string login(const std::string& token, int ttl = 18000) {
  return said(R"({"accessToken":")" + token + R"(","tokenTtl":)" + std::to_string(ttl) + "}");
}

class NacosRegistryTest : public ::testing::Test {
 public:
  struct Outcome {
    std::string seen;
    KeptInstances kept;

    std::size_t count(const std::string& text) const {
      std::size_t found = 0;
      for (std::size_t at = 0; (at = seen.find(text, at)) != std::string::npos; ++at) ++found;
      return found;
    }
  };
  /// What the registry says and asks while a server gives these answers, one a connection, until `lists`
  /// lists and `errors` errors have come.
  Outcome outcome(std::vector<std::string> answers, std::size_t lists, std::size_t errors = 0,
                  NacosConfig config = {}) {
    Outcome result;
    run_task(loop_,
             [](NacosRegistryTest& test, std::vector<std::string> scripts, std::size_t wanted,
                std::size_t wrong, NacosConfig its, Outcome& out) -> Task<void> {
               http::ScriptedServer server(std::move(scripts));
               http::Client client(test.pool_, nullptr);
               its.access.addresses = {server.url("/")};
               if (its.access.grpc_port_offset == 1000) {
                 its.access.transport = NacosTransport::kHttp;
               } else {  // nobody listens on port 1
                 const std::uint16_t port = http::Url::parse(server.url())->host.port;
                 its.access.grpc_port_offset = static_cast<std::uint16_t>(65'537 - port);
               }
               its.service = "llm";
               if (its.interval == 0s) its.interval = 1ms;
               auto registry = NacosRegistry::create(its, client, test.pool_);
               EXPECT_TRUE(registry);
               co_await out.kept.follow(
                   **registry, [](KeptInstances& kept, std::size_t enough, std::size_t bad) -> Task<void> {
                     EXPECT_TRUE(co_await kept.until([enough, bad](const KeptInstances& each) {
                       return each.lists.size() >= enough && each.errors.size() >= bad;
                     }));
                   }(out.kept, wanted, wrong));
               out.seen = server.seen;
             }(*this, std::move(answers), lists, errors, std::move(config), result));
    return result;
  }

  EventLoop loop_;
  BlockingPool pool_{1, 8};
};

TEST_F(NacosRegistryTest, AsksAgainAndTellsWhatIsNew) {
  const Outcome saw = outcome({v1({1}), v1({1}), v1({1, 2})}, 2, 0, {.group = "g 1", .clusters = {"a", "b"}});
  EXPECT_EQ(saw.kept.last(), "10.0.0.1:1 10.0.0.1:2");
  EXPECT_EQ(saw.kept.lists.size(), 2U);
  EXPECT_TRUE(
      saw.seen.starts_with("GET /nacos/v1/ns/instance/list?serviceName=llm&groupName=g%201&"
                           "namespaceId=public&clusters=a%2Cb&healthyOnly=false HTTP/1.1"))
      << saw.seen;
}

TEST_F(NacosRegistryTest, AServerWithoutTheOldApiIsAskedByTheNewOne) {
  const Outcome saw = outcome({said("", 410), v3({1}), v3({2})}, 2);
  EXPECT_EQ(saw.kept.last(), "10.0.0.1:2");
  EXPECT_EQ(saw.count("GET /nacos/v1/"), 1U);
  EXPECT_EQ(saw.count("GET /nacos/v3/client/ns/instance/list?"), saw.count("clusterName=%2C"));
  EXPECT_TRUE(saw.kept.errors.empty());
}

TEST_F(NacosRegistryTest, LogsInAndAgainWhenTheTokenIsRefused) {
  const NacosConfig config{.access = {.username = "u", .password = "p&w"}};
  const Outcome saw =
      outcome({login("first"), v1({1}), said("token expired!", 403), login("second"), v1({2})}, 2, 0, config);
  EXPECT_EQ(saw.kept.last(), "10.0.0.1:2");
  EXPECT_TRUE(saw.kept.errors.empty());
  EXPECT_EQ(saw.count("POST /nacos/v3/auth/user/login"), 2U);
  EXPECT_EQ(saw.count("username=u&password=p%26w"), 2U);
  EXPECT_EQ(saw.count("Authorization: Bearer first"), 2U);
  EXPECT_EQ(saw.count("Authorization: Bearer second"), 1U);
}

TEST_F(NacosRegistryTest, LogsInByTheOldPathAndBeforeTheTokenExpires) {
  // The second question is after the whole second for which the first token is good.
  const NacosConfig config{.access = {.username = "u", .password = "p"}, .interval = 1s};
  const Outcome saw = outcome(
      {said("", 404), login("first", 1), v1({1}), said("", 404), login("second"), v1({2})}, 2, 0, config);
  EXPECT_EQ(saw.count("POST /nacos/v1/auth/users/login"), 2U);
  EXPECT_EQ(saw.count("Authorization: Bearer second"), 1U);
  EXPECT_EQ(saw.kept.last(), "10.0.0.1:2");
}

TEST_F(NacosRegistryTest, AWrongPasswordIsSaidAndTheLastListStays) {
  const NacosConfig config{.access = {.username = "u", .password = "p"}};
  const Outcome saw =
      outcome({login("first"), v1({1}), said("", 403), said("unknown user!", 403)}, 1, 1, config);
  EXPECT_EQ(saw.kept.lists.size(), 1U);
  ASSERT_FALSE(saw.kept.errors.empty());
  EXPECT_EQ(saw.kept.errors[0].code, ErrorCode::kPermissionDenied);
  EXPECT_TRUE(saw.kept.errors[0].message.contains("refuses the login of u")) << saw.kept.errors[0].message;
}

TEST_F(NacosRegistryTest, GoesOnThroughErrorsAndSaysTheListAgain) {
  const Outcome saw = outcome({v1({1}), said("server is DOWN now", 503), said("<html>"), "", v1({1})}, 2, 3);
  EXPECT_EQ(saw.kept.errors.size(), 3U);
  EXPECT_EQ(saw.kept.lists.size(), 2U);
  EXPECT_EQ(saw.kept.last(), "10.0.0.1:1");
}

std::string info(const std::vector<int>& ports) {
  return R"({"resultCode":200,"requestId":"1","serviceInfo":{"hosts":[)" + hosts(ports) + "]}}";
}

class NacosRegistryByGrpcTest : public NacosRegistryTest {
 public:
  template <class Scenario>
  void with_server(Scenario scenario, NacosTransport transport = NacosTransport::kGrpc) {
    run_task(loop_, [&]() -> Task<void> {
      NacosTestServer server;
      server.answers["SubscribeServiceRequest"] = info({1});
      http::Client client(pool_, nullptr);
      NacosConfig config{.service = "llm", .clusters = {"hz", "sh"}};
      config.access = {.address = "http://127.0.0.1:" + std::to_string(server.port() - 7),
                       .transport = transport,
                       .grpc_port_offset = 7};
      auto registry = NacosRegistry::create(config, client, pool_);
      EXPECT_TRUE(registry);
      KeptInstances kept;
      co_await kept.follow(**registry, scenario(kept, server));
    }());
  }
  static Task<bool> until(KeptInstances& kept, std::string last) {
    return kept.until([last = std::move(last)](const KeptInstances& each) { return each.last() == last; });
  }
};

TEST_F(NacosRegistryByGrpcTest, SubscribesAndHearsWhatIsPushed) {
  with_server([](KeptInstances& kept, NacosTestServer& server) -> Task<void> {
    EXPECT_TRUE(co_await until(kept, "10.0.0.1:1"));
    EXPECT_EQ(
        server.seen.back().body,
        R"({"namespace":"public","serviceName":"llm","groupName":"DEFAULT_GROUP","clusters":"hz,sh","subscribe":true})");
    server.push({.type = "NotifySubscriberRequest", .body = info({1, 2})});
    EXPECT_TRUE(co_await until(kept, "10.0.0.1:1 10.0.0.1:2"));
    server.push({.type = "NotifySubscriberRequest", .body = info({1, 2})});
    server.push({.type = "NotifySubscriberRequest", .body = info({2})});
    EXPECT_TRUE(co_await until(kept, "10.0.0.1:2"));
    EXPECT_EQ(kept.lists.size(), 3U) << "what is not new is not told";
    EXPECT_TRUE(kept.errors.empty());
    EXPECT_EQ(server.asked("SubscribeServiceRequest"), 1U);
  });
}

TEST_F(NacosRegistryByGrpcTest, SubscribesAgainBehindALostConnection) {
  with_server([](KeptInstances& kept, NacosTestServer& server) -> Task<void> {
    EXPECT_TRUE(co_await until(kept, "10.0.0.1:1"));
    server.answers["SubscribeServiceRequest"] = info({3});
    server.last_connection().close();
    EXPECT_TRUE(co_await until(kept, "10.0.0.1:3"));
    EXPECT_EQ(kept.errors.size(), 1U);
    EXPECT_EQ(server.connections(), 2U);
    EXPECT_EQ(server.asked("SubscribeServiceRequest"), 2U);
    // Garbage is an error, and the list stays.
    server.push({.type = "NotifySubscriberRequest", .body = "<html>"});
    EXPECT_TRUE(co_await kept.until([](const KeptInstances& each) { return each.errors.size() == 2; }));
    EXPECT_EQ(kept.last(), "10.0.0.1:3");
  });
}

TEST_F(NacosRegistryTest, WithoutGrpcItIsAskedOverHttp) {
  const NacosConfig config{.access = {.transport = NacosTransport::kAuto, .grpc_port_offset = 1}};
  const Outcome saw = outcome({v1({1}), v1({2})}, 2, 0, config);
  EXPECT_EQ(saw.kept.last(), "10.0.0.1:2");
  EXPECT_TRUE(saw.kept.errors.empty());
}

TEST_F(NacosRegistryByGrpcTest, APushThatAnAnswerHasOvertakenIsDropped) {
  const auto at = [](int time, int port) {
    return R"({"resultCode":200,"requestId":"1","serviceInfo":{"lastRefTime":)" + std::to_string(time) +
           R"(,"hosts":[)" + hosts({port}) + "]}}";
  };
  with_server([at](KeptInstances& kept, NacosTestServer& server) -> Task<void> {
    EXPECT_TRUE(co_await until(kept, "10.0.0.1:1"));
    server.push({.type = "NotifySubscriberRequest", .body = at(20, 2)});
    EXPECT_TRUE(co_await until(kept, "10.0.0.1:2"));
    server.push({.type = "NotifySubscriberRequest", .body = at(10, 3)});
    EXPECT_TRUE(co_await kept.until(
        [&](const KeptInstances&) { return server.asked("NotifySubscriberResponse") == 2; }));
    co_await turns(50);
    server.push({.type = "NotifySubscriberRequest", .body = at(30, 4)});
    EXPECT_TRUE(co_await until(kept, "10.0.0.1:4"));
    EXPECT_EQ(kept.lists.size(), 3U);
  });
}

/// What is on the ports where members of a cluster should speak gRPC.
class NacosRegistryOfSeveralTest : public NacosRegistryTest {
 public:
  static NacosConfig config(std::uint16_t http, std::uint16_t grpc) {
    NacosConfig made{.service = "llm", .interval = 1ms};
    made.access = {.address = "http://127.0.0.1:" + std::to_string(http),
                   .grpc_port_offset = static_cast<std::uint16_t>(grpc - http)};
    return made;
  }
  static std::uint16_t port_of(const http::ScriptedServer& server) {
    return http::Url::parse(server.url())->host.port;
  }
};

TEST_F(NacosRegistryOfSeveralTest, WhereSomethingElseAnswersItIsAskedOverHttp) {
  // A balancer that takes a connection and ends it; a server that speaks HTTP/1.1.
  for (const std::string& said_there : {std::string(), said("<html>", 400)}) {
    run_task(loop_, [&]() -> Task<void> {
      http::ScriptedServer nacos({v1({1})});
      http::ScriptedServer there({said_there});
      http::Client client(pool_, nullptr);
      auto registry = NacosRegistry::create(config(port_of(nacos), port_of(there)), client, pool_);
      KeptInstances kept;
      co_await kept.follow(**registry, [](KeptInstances& its) -> Task<void> {
        EXPECT_TRUE(co_await its.until([](const KeptInstances& each) { return !each.lists.empty(); }));
      }(kept));
      EXPECT_EQ(there.connections, 1U);
      EXPECT_TRUE(kept.errors.empty()) << kept.errors.front().message;
    }());
  }
}

TEST_F(NacosRegistryOfSeveralTest, OneThatIsLostIsAskedLast) {
  run_task(loop_, [&]() -> Task<void> {
    NacosTestServer first, second;
    first.answers["SubscribeServiceRequest"] = info({1});
    second.answers["SubscribeServiceRequest"] = info({2});
    http::Client client(pool_, nullptr);
    NacosConfig both{.service = "llm"};
    both.access = {.addresses = {"http://127.0.0.1:1", "http://127.0.0.1:" + std::to_string(first.port() - 7),
                                 "http://127.0.0.1:" + std::to_string(second.port() - 7)},
                   .grpc_port_offset = 7};
    auto registry = NacosRegistry::create(both, client, pool_);
    KeptInstances kept;
    co_await kept.follow(
        **registry, [](KeptInstances& its, NacosTestServer& a, NacosTestServer& b) -> Task<void> {
          const auto is_last = [&its](std::string last) {
            return its.until([last](const KeptInstances& each) { return each.last() == last; });
          };
          EXPECT_TRUE(co_await is_last("10.0.0.1:1"));
          EXPECT_TRUE(its.errors.empty()) << "one that is refused is no reason for HTTP";
          a.last_connection().close();
          EXPECT_TRUE(co_await is_last("10.0.0.1:2"));
          EXPECT_EQ(a.connections(), 1U);
          EXPECT_EQ(b.connections(), 1U);
          if (b.connections() == 0) co_return;
          // An answer that is an error ends a connection, too.
          a.answers["SubscribeServiceRequest"] = info({3});
          b.answers["SubscribeServiceRequest"] = R"({"resultCode":500,"errorCode":301,"message":"unknown"})";
          b.last_connection().close();
          EXPECT_TRUE(co_await is_last("10.0.0.1:3"));
        }(kept, first, second));
  }());
}

}  // namespace
}  // namespace autoglm::cluster
