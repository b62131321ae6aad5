#include "cluster/registries/consul/consul_registrar.h"

#include "http/testing/scripted_server.h"
#include "runtime/testing/run_task.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace autoglm::cluster {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::string answer(int status, const std::string& body = "") {
  return "HTTP/1.1 " + std::to_string(status) +
         " X\r\nConnection: close\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

const Registration kSelf{.service = "llm", .id = "a", .host = "10.0.0.1", .port = 1};
const std::string kOurs =
    R"({"ID":"a","Service":"llm","Tags":[],"Meta":{},"Port":1,"Address":"10.0.0.1","Weights":{"Passing":1,"Warning":1}})";
const std::string kAnother =
    R"({"ID":"a","Service":"llm","Tags":[],"Meta":{},"Port":2,"Address":"10.0.0.2","Weights":{"Passing":1,"Warning":1}})";

class ConsulRegistrarTest : public ::testing::Test {
 public:
  struct Outcome {
    std::vector<std::string> asked;  ///< "GET /v1/…"
    std::vector<std::string> said;   ///< "15 s", "removed", or an error's message
    std::string reason;              ///< of the last error
  };
  /// What a registrar asks and says when it is to keep us `keeps` times, and then perhaps to remove us, while
  /// an agent gives these answers.
  Outcome outcome(std::vector<std::string> answers, int keeps, bool removes = false,
                  ConsulRegistrarConfig config = {}) {
    Outcome result;
    run_task(loop_,
             [](ConsulRegistrarTest& test, std::vector<std::string> scripts, int times, bool leaves,
                ConsulRegistrarConfig its, Outcome& out) -> Task<void> {
               http::ScriptedServer server(std::move(scripts));
               http::Client client(test.pool_, nullptr);
               its.connection.address = server.url("");
               auto registrar = ConsulRegistrar::create(its, "llm", client);
               EXPECT_TRUE(registrar);
               for (int i = 0; i < times; ++i) {
                 const auto kept = co_await (*registrar)->keep(kSelf);
                 out.said.push_back(kept ? std::to_string(static_cast<int>(to_seconds(*kept))) + " s"
                                         : kept.error().message);
                 if (!kept) out.reason = kept.error().reason;
               }
               if (leaves) {
                 const auto removed = co_await (*registrar)->remove(kSelf);
                 out.said.push_back(removed ? "removed" : removed.error().message);
               }
               std::string_view seen = server.seen;
               for (std::size_t at = 0; (at = seen.find(" HTTP/1.1\r\n")) != std::string_view::npos;
                    seen.remove_prefix(at + 11)) {
                 const std::size_t put = seen.substr(0, at).rfind("PUT /");
                 const std::size_t get = seen.substr(0, at).rfind("GET /");
                 const std::size_t begin = put == std::string_view::npos   ? get
                                           : get == std::string_view::npos ? put
                                                                           : std::max(put, get);
                 out.asked.emplace_back(seen.substr(begin, at - begin));
               }
             }(*this, std::move(answers), keeps, removes, std::move(config), result));
    return result;
  }

  EventLoop loop_;
  BlockingPool pool_{1, 8};
};

const std::string kLook = "GET /v1/agent/service/a";
const std::string kOthers = "GET /v1/health/service/llm?filter=Service.ID%20%3D%3D%20%22a%22";
const std::string kWrite = "PUT /v1/agent/service/register?replace-existing-checks=true";
const std::string kLeave = "PUT /v1/agent/service/deregister/a";
const std::string kHealth = "GET /v1/agent/health/service/id/a?format=text";
const std::string kBeat = "PUT /v1/agent/check/pass/service%3Aa";

TEST_F(ConsulRegistrarTest, LooksBeforeItWritesAndThenOnlyBeats) {
  const Outcome saw = outcome({answer(404), answer(200, "[]"), answer(200), answer(200),  // the first time
                               answer(200, kOurs), answer(200, "[]"), answer(200),        // the second
                               answer(200, kOurs), answer(200),                           // the third
                               answer(200, kOurs), answer(200)},
                              3, true);
  EXPECT_THAT(saw.said, ElementsAre("15 s", "15 s", "15 s", "removed"));
  EXPECT_THAT(saw.asked,
              ElementsAre(kLook, kOthers, kWrite, kBeat, kLook, kOthers, kBeat, kLook, kBeat, kLook, kLeave));
}

TEST_F(ConsulRegistrarTest, AWriteWhoseAnswerIsLostIsTakenBackAllTheSame) {
  const Outcome saw = outcome({answer(404), answer(200, "[]"), "", answer(200, kOurs), answer(200)}, 1, true);
  EXPECT_EQ(saw.said.at(1), "removed") << saw.said.at(0);
  EXPECT_THAT(saw.asked, ElementsAre(kLook, kOthers, kWrite, kLook, kLeave));
}

TEST_F(ConsulRegistrarTest, OfTwoThatEnteredAtTwoAgentsInOneMomentOneStays) {
  const auto meets = [](const std::string& host) {
    return answer(200, R"([{"Service":{"ID":"a","Address":")" + host + R"(","Port":1}}])");
  };
  const Outcome yields = outcome({answer(404), answer(200, "[]"), answer(200), answer(200),  //
                                  answer(200, kOurs), meets("10.0.0.0"), answer(200)},
                                 2);
  EXPECT_EQ(yields.reason, kIdTaken);
  EXPECT_THAT(yields.asked, ElementsAre(kLook, kOthers, kWrite, kBeat, kLook, kOthers, kLeave));
  const Outcome stays = outcome({answer(404), answer(200, "[]"), answer(200), answer(200),  //
                                 answer(200, kOurs), meets("10.0.0.2"), answer(200)},
                                2);
  EXPECT_THAT(stays.said, ElementsAre("15 s", "15 s"));
}

TEST_F(ConsulRegistrarTest, WritesAgainWhenTheAgentForgotTheServiceOrItsCheck) {
  const Outcome saw = outcome({answer(404), answer(200, "[]"), answer(200), answer(200),  //
                               answer(404), answer(200, "[]"), answer(200), answer(200),  // the service
                               answer(200, kOurs), answer(200, "[]"), answer(404), answer(200), answer(200)},
                              3);
  EXPECT_THAT(saw.said, ElementsAre("15 s", "15 s", "15 s"));
  EXPECT_THAT(saw.asked, ElementsAre(kLook, kOthers, kWrite, kBeat, kLook, kOthers, kWrite, kBeat, kLook,
                                     kOthers, kBeat, kWrite, kBeat));
}

TEST_F(ConsulRegistrarTest, TheLivingKeepTheirIdAndTheDeadDoNot) {
  const Outcome alive = outcome({answer(200, kAnother), answer(200)}, 1, true);
  EXPECT_EQ(alive.reason, kIdTaken);
  EXPECT_TRUE(alive.said[0].contains("10.0.0.2:2")) << alive.said[0];
  EXPECT_THAT(alive.asked, ElementsAre(kLook, "GET /v1/agent/health/service/id/a?format=text"))
      << "and nothing to remove";
  const Outcome dead = outcome({answer(200, kAnother), answer(503, "critical"), answer(200), answer(200)}, 1);
  EXPECT_THAT(dead.said, ElementsAre("15 s"));
  const Outcome somebody =
      outcome({answer(200, kAnother), answer(503, "no upstream"), answer(200), answer(200)}, 1);
  EXPECT_THAT(somebody.asked, ElementsAre(kLook, kHealth)) << "a proxy's 503 kills nobody";
  EXPECT_EQ(somebody.reason, "");
  const Outcome elsewhere =
      outcome({answer(404), answer(200, R"([{"Service":{"ID":"a","Address":"b","Port":3}}])")}, 1);
  EXPECT_EQ(elsewhere.reason, kIdTaken);
  EXPECT_THAT(elsewhere.asked, ElementsAre(kLook, kOthers));
}

TEST_F(ConsulRegistrarTest, WhatAnotherOneHasByNowStays) {
  const Outcome saw = outcome({answer(404), answer(200, "[]"), answer(200), answer(200),  //
                               answer(200, kAnother), answer(200)},
                              1, true);
  EXPECT_THAT(saw.said, ElementsAre("15 s", "removed"));
  EXPECT_THAT(saw.asked, ElementsAre(kLook, kOthers, kWrite, kBeat, kLook))
      << "the last answer is for nobody";
  EXPECT_THAT(outcome({}, 0, true).asked, IsEmpty()) << "never written";
}

TEST_F(ConsulRegistrarTest, WhereConsulAsksNobodyBeatsAndWhatItFindsIsSaid) {
  const Outcome saw = outcome({answer(404), answer(200, "[]"), answer(200), answer(200, "passing"),  //
                               answer(200, kOurs), answer(200, "[]"), answer(503, "critical")},
                              2, false, {.check = ConsulCheck::kHttp});
  EXPECT_THAT(saw.asked, ElementsAre(kLook, kOthers, kWrite, kHealth, kLook, kOthers, kHealth));
  EXPECT_EQ(saw.said.at(0), "15 s");
  EXPECT_TRUE(saw.said.at(1).contains("/readyz failing at 10.0.0.1:1")) << saw.said.at(1);
}

TEST_F(ConsulRegistrarTest, SaysWhatIsRefusedOrCannotBeRead) {
  for (const auto& answers :
       std::vector<std::vector<std::string>>{{answer(403, "Permission denied")},
                                             {answer(200, "<html>")},
                                             {answer(200, kAnother), answer(403)},
                                             {answer(404), answer(403)},
                                             {answer(404), answer(200, "{}")},
                                             {answer(404), answer(200, "[]"), answer(400, "long")},
                                             {answer(404), answer(200, "[]"), answer(200), answer(403)},
                                             {""}}) {
    const Outcome saw = outcome(answers, 1);
    EXPECT_FALSE(saw.said[0].ends_with(" s")) << saw.said[0];
    EXPECT_EQ(saw.reason == kIdTaken, false);
  }
}

}  // namespace
}  // namespace autoglm::cluster
