#include "center/nacos/nacos_document.h"

#include "cluster/testing/nacos_test_server.h"
#include "http/testing/scripted_server.h"
#include "runtime/scope.h"
#include "runtime/testing/run_task.h"

#include <gtest/gtest.h>

#include <functional>
#include <vector>

namespace autoglm::center {
namespace {

using namespace std::chrono_literals;
using cluster::NacosTestServer;

std::string said(const std::string& body, int status = 200) {
  return "HTTP/1.1 " + std::to_string(status) +
         " X\r\nConnection: close\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}
const std::string kChanged = said("a.yaml%02DEFAULT_GROUP%01\n");
const std::string kMissing = said("config data not exist\n", 404);

struct Kept final : DocumentSink {
  void push(Version version) override { versions.push_back(std::move(version)); }
  void fail(const Error& error) override { errors.push_back(error); }
  Task<bool> until(std::function<bool(const Kept&)> enough) {
    for (int i = 0; i < 10'000 && !enough(*this); ++i) co_await sleep_for(1ms);
    co_return enough(*this);
  }
  Task<bool> until_text(std::string text) {
    return until([text = std::move(text)](const Kept& kept) {
      return !kept.versions.empty() && kept.versions.back().text == text;
    });
  }

  std::vector<Version> versions;
  std::vector<Error> errors;
};

class NacosDocumentTest : public ::testing::Test {
 public:
  /// Follows a document of a server that gives these answers, one a connection; returns what was asked.
  template <class Scenario>
  std::string over_http(std::vector<std::string> answers, Scenario scenario,
                        const std::string& name_space = "public") {
    std::string seen;
    run_task(loop_, [&]() -> Task<void> {
      http::ScriptedServer server(std::move(answers));
      http::Client client(pool_, nullptr);
      auto document = NacosDocument::create({.access = {.address = server.url("/"),
                                                        .name_space = name_space,
                                                        .transport = cluster::NacosTransport::kHttp},
                                             .data_id = "a.yaml",
                                             .interval = 1ms},
                                            client, pool_);
      EXPECT_TRUE(document);
      Kept kept;
      Scope scope;
      scope.spawn((*document)->run(kept));
      co_await scenario(kept);
      seen = server.seen;
    }());
    return seen;
  }
  template <class Scenario>
  void over_grpc(Scenario scenario) {
    run_task(loop_, [&]() -> Task<void> {
      NacosTestServer server;
      http::Client client(pool_, nullptr);
      auto document = NacosDocument::create(
          {.access = {.address = "http://127.0.0.1:" + std::to_string(server.port() - 7),
                      .grpc_port_offset = 7},
           .data_id = "a.yaml"},
          client, pool_);
      EXPECT_TRUE(document);
      Kept kept;
      Scope scope;
      scope.spawn((*document)->run(kept));
      co_await scenario(kept, server);
    }());
  }
  static std::string text(const std::string& content, const std::string& md5) {
    return R"({"resultCode":200,"errorCode":0,"content":")" + content + R"(","md5":")" + md5 +
           R"(","success":true})";
  }

  EventLoop loop_;
  BlockingPool pool_{1, 8};
};

TEST_F(NacosDocumentTest, IsAskedForAgainWhenTheServerHasNews) {
  const std::string seen =
      over_http({said("one"), kChanged, said("two"), kChanged, said("two"), said(""), said("three")},
                [](Kept& kept) -> Task<void> {
                  EXPECT_TRUE(co_await kept.until_text("three"));
                  EXPECT_EQ(kept.versions.size(), 3U) << "what is not new is not told";
                  EXPECT_EQ(kept.versions[0].version, "f97c5d29941bfb1b2fdab0874906ab82");
                  EXPECT_TRUE(kept.errors.empty());
                });
  EXPECT_TRUE(seen.starts_with("GET /nacos/v1/cs/configs?dataId=a.yaml&group=DEFAULT_GROUP HTTP/1.1"))
      << seen;
  EXPECT_TRUE(seen.contains("Listening-Configs=a.yaml%02DEFAULT_GROUP%02f97c5d29941bfb1b2fdab0874906ab82%01"))
      << seen;
  EXPECT_TRUE(seen.contains("Long-Pulling-Timeout: 30000")) << seen;
}

TEST_F(NacosDocumentTest, OneThatIsMissingIsSaidOnceAndWaitedFor) {
  over_http({kMissing, said(""), kMissing, kChanged, said("one"), said(""), kMissing},
            [](Kept& kept) -> Task<void> {
              EXPECT_TRUE(co_await kept.until([](const Kept& each) { return each.errors.size() == 2; }));
              EXPECT_EQ(kept.errors[0].code, ErrorCode::kNotFound);
              EXPECT_EQ(kept.errors[0].message,
                        "Nacos has no a.yaml in group DEFAULT_GROUP, namespace public");
              EXPECT_EQ(kept.versions.size(), 1U);
            });
}

TEST_F(NacosDocumentTest, AServerWithoutTheOldApiIsPolled) {
  const auto v3 = [](const std::string& content) {
    return said(R"({"code":0,"data":)" + text(content, content) + "}");
  };
  const std::string seen = over_http(
      {said("", 410), v3("one"), v3("two")},
      [](Kept& kept) -> Task<void> { EXPECT_TRUE(co_await kept.until_text("two")); }, "dev");
  EXPECT_TRUE(seen.contains("tenant=dev")) << seen;
  EXPECT_TRUE(
      seen.contains("GET /nacos/v3/client/cs/config?dataId=a.yaml&groupName=DEFAULT_GROUP&namespaceId=dev"))
      << seen;
}

TEST_F(NacosDocumentTest, GoesOnThroughErrorsAndSaysTheTextAgain) {
  over_http({said("one"), said("", 500), said("", 500), "", said("one")}, [](Kept& kept) -> Task<void> {
    EXPECT_TRUE(co_await kept.until([](const Kept& each) { return each.versions.size() == 2; }));
    EXPECT_EQ(kept.errors.size(), 3U);
  });
}

TEST_F(NacosDocumentTest, OverGrpcAChangeIsPushed) {
  over_grpc([](Kept& kept, NacosTestServer& server) -> Task<void> {
    server.answers["ConfigQueryRequest"] = text("one", "md5-1");
    EXPECT_TRUE(co_await kept.until_text("one"));
    EXPECT_EQ(kept.versions[0].version, "md5-1");
    EXPECT_TRUE(
        co_await kept.until([&](const Kept&) { return server.asked("ConfigBatchListenRequest") == 1; }));
    EXPECT_EQ(
        server.seen.back().body,
        R"({"listen":true,"configListenContexts":[{"dataId":"a.yaml","group":"DEFAULT_GROUP","tenant":"","md5":"md5-1"}]})");
    server.answers["ConfigQueryRequest"] = text("two", "md5-2");
    server.push({.type = "ConfigChangeNotifyRequest", .body = R"({"requestId":"1","dataId":"a.yaml"})"});
    EXPECT_TRUE(co_await kept.until_text("two"));
    // A change between the answer and the subscription is in the subscription's answer.
    server.answers["ConfigQueryRequest"] = text("three", "md5-3");
    server.answers["ConfigBatchListenRequest"] =
        R"({"resultCode":200,"errorCode":0,"changedConfigs":[{"dataId":"a.yaml"}],"success":true})";
    server.push({.type = "ConfigChangeNotifyRequest", .body = R"({"requestId":"2","dataId":"a.yaml"})"});
    EXPECT_TRUE(co_await kept.until_text("three"));
    server.answers["ConfigQueryRequest"] = text("four", "md5-4");
    EXPECT_TRUE(co_await kept.until_text("four"));
    EXPECT_TRUE(kept.errors.empty());
  });
}

TEST_F(NacosDocumentTest, OverGrpcItSurvivesALostConnectionAndATextThatIsGone) {
  over_grpc([](Kept& kept, NacosTestServer& server) -> Task<void> {
    server.answers["ConfigQueryRequest"] = text("one", "md5-1");
    EXPECT_TRUE(co_await kept.until_text("one"));
    server.answers["ConfigQueryRequest"] =
        R"({"resultCode":500,"errorCode":300,"message":"config data not exist"})";
    server.last_connection().close();
    EXPECT_TRUE(co_await kept.until([](const Kept& each) { return each.errors.size() == 2; }));
    EXPECT_EQ(kept.errors[1].code, ErrorCode::kNotFound);
    server.answers["ConfigQueryRequest"] = text("two", "md5-2");
    EXPECT_TRUE(co_await kept.until(
        [&](const Kept&) { return server.seen.back().type == "ConfigBatchListenRequest"; }));
    server.push({.type = "ConfigChangeNotifyRequest", .body = R"({"requestId":"1"})"});
    EXPECT_TRUE(co_await kept.until_text("two"));
  });
}

TEST_F(NacosDocumentTest, OverGrpcAServerThatAlwaysHasNewsIsNotAskedWithoutAPause) {
  over_grpc([](Kept& kept, NacosTestServer& server) -> Task<void> {
    server.answers["ConfigQueryRequest"] = text("one", "md5-1");
    server.answers["ConfigBatchListenRequest"] =
        R"({"resultCode":200,"errorCode":0,"changedConfigs":[{"dataId":"a.yaml"}],"success":true})";
    EXPECT_TRUE(co_await kept.until_text("one"));
    co_await sleep_for(300ms);
    EXPECT_LT(server.asked("ConfigQueryRequest"), 10U);
    server.answers["ConfigQueryRequest"] = text("two", "md5-2");
    EXPECT_TRUE(co_await kept.until_text("two"));
  });
}

}  // namespace
}  // namespace autoglm::center
