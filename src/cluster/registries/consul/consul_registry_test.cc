#include "cluster/registries/consul/consul_registry.h"

#include "cluster/testing/kept_instances.h"
#include "http/testing/scripted_server.h"
#include "runtime/testing/run_task.h"

#include <gtest/gtest.h>

namespace autoglm::cluster {
namespace {

using namespace std::chrono_literals;

std::string answer(int index, const std::string& body, int status = 200) {
  return "HTTP/1.1 " + std::to_string(status) + " X\r\nX-Consul-Index: " + std::to_string(index) +
         "\r\nConnection: close\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}
std::string services(const std::vector<int>& ports) {
  std::string body = "[";
  for (const int port : ports)
    body += (body.size() > 1 ? "," : "") +
            (R"({"Service":{"Address":"10.0.0.1","Port":)" + std::to_string(port)) + "}}";
  return body + "]";
}

class ConsulRegistryTest : public ::testing::Test {
 public:
  struct Outcome {
    std::string seen;
    KeptInstances kept;
  };
  /// What the registry says and asks while a server gives these answers, one a connection, until `lists`
  /// lists have come.
  Outcome outcome(std::vector<std::string> answers, std::size_t lists, ConsulConfig config = {}) {
    Outcome result;
    run_task(loop_,
             [](ConsulRegistryTest& test, std::vector<std::string> scripts, std::size_t wanted,
                ConsulConfig its, Outcome& out) -> Task<void> {
               http::ScriptedServer server(std::move(scripts));
               http::Client client(test.pool_, nullptr);
               its.connection.address = server.url("");
               its.service = "llm";
               auto registry = ConsulRegistry::create(its, client, test.pool_);
               EXPECT_TRUE(registry);
               co_await out.kept.follow(
                   **registry, [](KeptInstances& kept, std::size_t enough) -> Task<void> {
                     EXPECT_TRUE(co_await kept.until(
                         [enough](const KeptInstances& each) { return each.lists.size() >= enough; }));
                   }(out.kept, wanted));
               out.seen = server.seen;
             }(*this, std::move(answers), lists, std::move(config), result));
    return result;
  }

  EventLoop loop_;
  BlockingPool pool_{1, 8};
};

TEST_F(ConsulRegistryTest, AsksAgainFromTheIndexItWasTold) {
  const Outcome saw = outcome({answer(7, services({1})), answer(9, services({1, 2}))}, 2,
                              {.connection = {.token = "secret"}, .tags = {"a b"}, .datacenter = "dc2"});
  EXPECT_EQ(saw.kept.last(), "10.0.0.1:1 10.0.0.1:2");
  EXPECT_TRUE(
      saw.seen.starts_with("GET /v1/health/service/llm?passing=1&tag=a%20b&dc=dc2&index=0&wait=30s HTTP/1.1"))
      << saw.seen;
  EXPECT_TRUE(saw.seen.contains("&index=7&wait=30s")) << saw.seen;
  EXPECT_TRUE(saw.seen.contains("X-Consul-Token: secret")) << saw.seen;
}

TEST_F(ConsulRegistryTest, AnAnswerIsNoProofOfAChange) {
  const Outcome saw =
      outcome({answer(7, services({1})), answer(8, services({1})), answer(9, services({2}))}, 2);
  EXPECT_EQ(saw.kept.lists.size(), 2U);
  EXPECT_EQ(saw.kept.last(), "10.0.0.1:2");
}

TEST_F(ConsulRegistryTest, GoesOnThroughErrorsAndBeginsAnewBehindThem) {
  const Outcome saw = outcome({answer(7, services({1})), answer(9, "no leader", 500),
                               answer(9, "denied", 403), answer(9, "<html>"), "", answer(9, services({1}))},
                              2);
  ASSERT_EQ(saw.kept.errors.size(), 4U);
  EXPECT_TRUE(saw.kept.errors[1].message.contains("see its token")) << saw.kept.errors[1].message;
  EXPECT_EQ(saw.kept.last(), "10.0.0.1:1") << "said again, so that all know that it answers";
  EXPECT_EQ(saw.kept.lists.size(), 2U);
}

TEST_F(ConsulRegistryTest, AnIndexThatGoesBackBeginsAnew) {
  const Outcome saw =
      outcome({answer(7, services({1})), answer(3, services({2})), answer(4, services({3}))}, 3);
  EXPECT_EQ(saw.kept.last(), "10.0.0.1:3");
  std::size_t anew = 0;
  for (std::size_t at = 0; (at = saw.seen.find("index=0&", at)) != std::string::npos; ++at) ++anew;
  EXPECT_EQ(anew, 2U);
}

}  // namespace
}  // namespace autoglm::cluster
