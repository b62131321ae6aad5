#include "cluster/registries/etcd/etcd_registrar.h"

#include "base/base64.h"
#include "http/testing/scripted_server.h"
#include "runtime/testing/run_task.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace autoglm::cluster {
namespace {

using ::testing::ElementsAre;

std::string answer(const std::string& body, int status = 200) {
  return "HTTP/1.1 " + std::to_string(status) +
         " X\r\nConnection: close\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

const Registration kSelf{
    .service = "llm", .id = "a", .host = "10.0.0.1", .port = 1, .metadata = {{"models", "m"}}};

std::string lease(int id, int ttl = 15) {
  return answer(R"({"ID":")" + std::to_string(id) + R"(","TTL":")" + std::to_string(ttl) + "\"}");
}
std::string kept(int id, int ttl = 15) {
  return answer(R"({"result":{"ID":")" + std::to_string(id) + R"(","TTL":")" + std::to_string(ttl) + "\"}}");
}
std::string wrote() { return answer(R"({"header":{},"succeeded":true})"); }
std::string held(const std::string& value, int by) {
  return answer(R"({"header":{},"responses":[{"response_range":{"kvs":[{"value":")" + to_base64(value) +
                R"(","lease":")" + std::to_string(by) + R"(","mod_revision":"9"}]}}]})");
}

class EtcdRegistrarTest : public ::testing::Test {
 public:
  struct Outcome {
    std::vector<std::string> asked;  ///< "lease/grant"
    std::vector<std::string> said;   ///< "15 s", "removed", or an error's message
    std::string reason;              ///< of the last error
    std::string seen;
  };
  Outcome outcome(std::vector<std::string> answers, int keeps, bool removes = false,
                  EtcdConnection connection = {}) {
    Outcome result;
    run_task(loop_,
             [](EtcdRegistrarTest& test, std::vector<std::string> scripts, int times, bool leaves,
                EtcdConnection its, Outcome& out) -> Task<void> {
               http::ScriptedServer server(std::move(scripts));
               http::Client client(test.pool_, nullptr);
               its.endpoints = {server.url("")};
               auto registrar = EtcdRegistrar::create({.connection = its, .prefix = "/p/"}, client);
               EXPECT_TRUE(registrar);
               for (int i = 0; i < times; ++i) {
                 const auto lasts = co_await (*registrar)->keep(kSelf);
                 out.said.push_back(lasts ? std::to_string(static_cast<int>(to_seconds(*lasts))) + " s"
                                          : lasts.error().message);
                 if (!lasts) out.reason = lasts.error().reason;
               }
               if (leaves) {
                 const auto removed = co_await (*registrar)->remove(kSelf);
                 out.said.push_back(removed ? "removed" : removed.error().message);
               }
               out.seen = server.seen;
               for (std::size_t at = 0; (at = out.seen.find("POST /v3/", at)) != std::string::npos; ++at)
                 out.asked.push_back(out.seen.substr(at + 9, out.seen.find(' ', at + 9) - at - 9));
             }(*this, std::move(answers), keeps, removes, std::move(connection), result));
    return result;
  }

  EventLoop loop_;
  BlockingPool pool_{1, 8};
};

TEST_F(EtcdRegistrarTest, KeepsALeaseAndTheKeyWithIt) {
  const Outcome saw =
      outcome({lease(7), wrote(), kept(7, 12), held(etcd_naming_value(kSelf), 7), answer("{}")}, 2, true);
  EXPECT_THAT(saw.said, ElementsAre("15 s", "12 s", "removed"));
  EXPECT_THAT(saw.asked, ElementsAre("lease/grant", "kv/txn", "lease/keepalive", "kv/txn", "lease/revoke"));
  EXPECT_TRUE(saw.seen.contains(to_base64("/p/a"))) << saw.seen;
}

TEST_F(EtcdRegistrarTest, ComesAgainWithAnotherLease) {
  const Outcome saw = outcome({lease(7), wrote(), kept(7, 0), lease(8), wrote(),  // it has expired
                               answer(R"({"code":5})", 404), lease(9), wrote(),   // nobody knows it
                               kept(9), wrote()},                                 // the key was deleted
                              4);
  EXPECT_THAT(saw.said, ElementsAre("15 s", "15 s", "15 s", "15 s"));
  EXPECT_TRUE(saw.seen.contains(R"("lease":"9")")) << saw.seen;
}

TEST_F(EtcdRegistrarTest, OurOwnKeyOfALifeBeforeOrWithOtherMetadataIsReplaced) {
  const Outcome before = outcome({lease(7), held("10.0.0.1:1", 3), wrote()}, 1);
  EXPECT_THAT(before.said, ElementsAre("15 s"));
  EXPECT_TRUE(before.seen.contains(R"("mod_revision":"9")")) << before.seen;
  const Outcome old = outcome({lease(7), held("10.0.0.9:1", 7), wrote()}, 1);
  EXPECT_THAT(old.said, ElementsAre("15 s")) << "it has our lease";
  const Outcome raced = outcome({lease(7), held("10.0.0.1:1", 3), held("10.0.0.2:2", 4)}, 1);
  EXPECT_EQ(raced.said[0].ends_with(" s"), false);
}

TEST_F(EtcdRegistrarTest, AnIdOfAnotherServerIsRefusedAndItsKeyStays) {
  const Outcome saw = outcome({lease(7), held(R"({"Op":0,"Addr":"10.0.0.2:2"})", 3), answer("{}")}, 1, true);
  EXPECT_EQ(saw.reason, kIdTaken);
  EXPECT_TRUE(saw.said[0].contains("10.0.0.2:2")) << saw.said[0];
  EXPECT_THAT(saw.asked, ElementsAre("lease/grant", "kv/txn", "lease/revoke"));
}

TEST_F(EtcdRegistrarTest, LogsInAndOnceMoreWhenTheTokenIsForgotten) {
  const std::string token = R"({"token":"t.1"})";
  const Outcome saw = outcome(
      {answer(token), lease(7), wrote(), answer("invalid auth token", 401), answer(token), kept(7), wrote()},
      2, false, {.username = "u", .password = "p"});
  EXPECT_THAT(saw.said, ElementsAre("15 s", "15 s"));
  EXPECT_THAT(saw.asked, ElementsAre("auth/authenticate", "lease/grant", "kv/txn", "lease/keepalive",
                                     "auth/authenticate", "lease/keepalive", "kv/txn"));
  const Outcome refused = outcome({answer(token), answer("permission denied", 403)}, 1, false,
                                  {.username = "u", .password = "p"});
  EXPECT_THAT(refused.asked, ElementsAre("auth/authenticate", "lease/grant"))
      << "that a new token does not change";
}

TEST_F(EtcdRegistrarTest, SaysWhatCannotBeRead) {
  for (const auto& answers : std::vector<std::vector<std::string>>{
           {answer("<html>")}, {lease(0)}, {lease(7, 0)}, {lease(7), answer("[]")}, {""}})
    EXPECT_FALSE(outcome(answers, 1).said[0].ends_with(" s"));
}

}  // namespace
}  // namespace autoglm::cluster
