#include "gateway/admission/limits/limit_check.h"

#include "gateway/admission/limits/rate_headers.h"
#include "gateway/admission/shared/testing/fake_ledger.h"
#include "runtime/race.h"
#include "runtime/testing/run_task.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

namespace autoglm::gateway {
namespace {

using namespace std::chrono_literals;
using Admitted = Result<std::unique_ptr<Permit>>;

CallerPtr caller(std::string key, std::string tenant = "t", std::vector<std::string> limits = {}) {
  return std::make_shared<const Caller>(
      Caller{.key = std::move(key), .tenant = std::move(tenant), .limits = std::move(limits)});
}

InferenceRequest request(std::uint32_t max_tokens) {
  GenerateRequest work{.prompts = {TokenPrompt{}}};
  work.stop.max_tokens = max_tokens;
  return {.work = std::move(work)};
}

class LimitCheckTest : public ::testing::Test {
 protected:
  void limit(std::vector<LimitConfig> limits) { check_.apply(limits, std::chrono::steady_clock::now()); }

  Admitted admit(CallerPtr who, std::uint32_t max_tokens = 1, std::string_view model = "m") {
    CallContext context;
    context.caller = std::move(who);
    const InferenceRequest asked = request(max_tokens);
    return run_task(
        loop_,
        check_.admit(
            {.model = model, .request = &asked, .tokens = estimate_tokens(asked), .context = context}));
  }

  observe::MetricRegistry metrics_;
  LimitCheck check_{metrics_};
  EventLoop loop_;
};

TEST_F(LimitCheckTest, WithoutLimitsItHoldsNothing) {
  const auto permit = admit(caller("a"));
  ASSERT_TRUE(permit);
  EXPECT_EQ(*permit, nullptr);
}

TEST_F(LimitCheckTest, AClientThatKnowsItsEndMayCallAgainAtOnce) {
  limit({{.name = "held", .concurrent = 1}});
  const auto first = admit(caller("a"));
  ASSERT_TRUE(first);
  EXPECT_FALSE(admit(caller("a")));
  (*first)->closed();
  EXPECT_TRUE(admit(caller("a"))) << "while the permit of the first one is still there";
}

TEST_F(LimitCheckTest, EachKeyHasItsOwn) {
  limit({{.name = "two", .requests = "2/day"}});
  std::vector<std::unique_ptr<Permit>> kept;
  for (int i = 0; i < 2; ++i) {
    kept.push_back(std::move(*admit(caller("a"))));
    kept.back()->settle({});
  }
  const auto third = admit(caller("a"));
  ASSERT_FALSE(third);
  EXPECT_EQ(third.error().code, ErrorCode::kResourceExhausted);
  EXPECT_EQ(third.error().reason, "rate_limit_exceeded");
  EXPECT_NE(third.error().message.find("the limit \"two\" of the key \"a\""), std::string::npos)
      << third.error().message;
  EXPECT_GT(third.error().retry_after.value().count(), 3600);
  ASSERT_NE(third.error().said, nullptr);
  EXPECT_EQ(third.error().said->headers.at(0),
            (std::pair<std::string, std::string>("x-ratelimit-limit-requests", "2")));
  EXPECT_TRUE(admit(caller("b")));
}

TEST_F(LimitCheckTest, KeysOfATenantShareTheirs) {
  limit({{.name = "one", .per = LimitScope::kTenant, .requests = "1/day"}});
  const auto first = admit(caller("a", "t"));
  EXPECT_TRUE(first);
  EXPECT_FALSE(admit(caller("b", "t")));
  EXPECT_TRUE(admit(caller("c", "other")));
}

TEST_F(LimitCheckTest, ACallIsWithinAllOfThem) {
  limit({{.name = "many", .requests = "100/day"},
         {.name = "all", .per = LimitScope::kGlobal, .requests = "1/day"}});
  const auto first = admit(caller("a"));
  EXPECT_TRUE(first);
  EXPECT_NE(admit(caller("b")).error().message.find("of this server"), std::string::npos);
}

TEST_F(LimitCheckTest, WhatIsRefusedByOneLimitIsGivenBackToTheOthers) {
  limit({{.name = "three", .requests = "3/day"},
         {.name = "one", .per = LimitScope::kModel, .requests = "1/day"}});
  auto first = admit(caller("a"));
  ASSERT_TRUE(first);
  (*first)->settle({});
  for (int i = 0; i < 10; ++i) EXPECT_FALSE(admit(caller("a")));
  EXPECT_TRUE(admit(caller("a"), 1, "another model"));
}

TEST_F(LimitCheckTest, AKeyMayNameTheLimitsThatHoldForIt) {
  limit({{.name = "one", .requests = "1/day"}, {.name = "two", .requests = "2/day"}});
  const auto who = caller("a", "t", {"two"});
  std::vector<Admitted> kept;
  kept.push_back(admit(who));
  kept.push_back(admit(who));
  EXPECT_TRUE(kept[1]) << "\"one\" does not hold";
  EXPECT_FALSE(admit(who));
}

TEST_F(LimitCheckTest, TokensAreReservedThenSettled) {
  limit({{.name = "tokens", .tokens = "100/day"}});
  auto permit = admit(caller("a"), 90);
  ASSERT_TRUE(permit);
  EXPECT_FALSE(admit(caller("a"), 20)) << "reserved";
  (*permit)->settle({.prompt_tokens = 4, .completion_tokens = 6});
  permit->reset();
  auto more = admit(caller("a"), 90);
  ASSERT_TRUE(more) << "80 were given back";
  more->reset();
  EXPECT_TRUE(admit(caller("a"), 90)) << "a call that used nothing gave back all";
}

TEST_F(LimitCheckTest, WhatGoesBeyondAReservationIsChargedAfterwards) {
  limit({{.name = "tokens", .tokens = "100/day"}});
  auto permit = admit(caller("a"), 10);
  ASSERT_TRUE(permit);
  (*permit)->settle({.completion_tokens = 100});
  permit->reset();
  EXPECT_FALSE(admit(caller("a"), 1));
}

TEST_F(LimitCheckTest, WhatNeverFitsIsAWrongRequest) {
  limit({{.name = "tokens", .tokens = "100/day"}, {.name = "held", .concurrent_tokens = 50}});
  for (const std::uint32_t most : {101U, UINT32_MAX, 60U}) {
    const auto refused = admit(caller("a"), most);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
    EXPECT_EQ(refused.error().param, "max_tokens");
  }
}

TEST_F(LimitCheckTest, HoldsSoManyAtATime) {
  limit({{.name = "held", .concurrent = 2}});
  auto one = admit(caller("a"));
  auto two = admit(caller("a"));
  EXPECT_EQ(admit(caller("a")).error().code, ErrorCode::kResourceExhausted);
  one->reset();
  EXPECT_TRUE(admit(caller("a")));
}

TEST_F(LimitCheckTest, AChangeKeepsWhatWasUsed) {
  limit({{.name = "tokens", .tokens = "100/day"}});
  auto permit = admit(caller("a"), 90);
  ASSERT_TRUE(permit);
  limit({{.name = "tokens", .tokens = "200/day"}});
  EXPECT_FALSE(admit(caller("a"), 115)) << "90 of 200 are reserved";
  EXPECT_TRUE(admit(caller("a"), 105));
  limit({});
  (*permit)->settle({.completion_tokens = 1});  // of a limit that is gone
  EXPECT_EQ(*admit(caller("a"), 1000), nullptr);
}

TEST_F(LimitCheckTest, ReportsTheTightestOfEachKind) {
  limit({{.name = "a", .requests = "10/day"},
         {.name = "b", .per = LimitScope::kGlobal, .requests = "4/day"},
         {.name = "c", .tokens = "100/day"}});
  const auto permit = admit(caller("a"), 10);
  ASSERT_TRUE(permit);
  RateReport report;
  (*permit)->report(report);
  EXPECT_EQ(report.requests.value().limit, 4U);
  EXPECT_EQ(report.requests->remaining, 3U);
  EXPECT_EQ(report.tokens.value().remaining, 90U);
  EXPECT_EQ(rate_headers(report).size(), 6U);
}

TEST_F(LimitCheckTest, ACallThatWaitsForItsTurnGivesItBackWhenItLeaves) {
  limit({{.name = "slow", .requests = "1/day", .algorithm = RateAlgorithm::kLeakyBucket, .queue = 1}});
  auto first = admit(caller("a"));
  ASSERT_TRUE(first);
  (*first)->settle({});
  for (int i = 0; i < 3; ++i) {
    CallContext context;
    context.caller = caller("a");
    const InferenceRequest asked = request(1);
    const AdmissionFacts facts{
        .model = "m", .request = &asked, .tokens = estimate_tokens(asked), .context = context};
    const auto gave_up = run_task(loop_, [](LimitCheck& check, const AdmissionFacts& each) -> Task<Admitted> {
      co_return co_await with_deadline(Deadline::after(5ms), check.admit(each), "its turn");
    }(check_, facts));
    ASSERT_FALSE(gave_up);
    EXPECT_EQ(gave_up.error().code, ErrorCode::kDeadlineExceeded) << "it waited, and was not refused";
  }
}

TEST_F(LimitCheckTest, ACallWhoseTurnComesTooLateIsRefusedAtOnce) {
  limit({{.name = "slow", .requests = "1/day", .algorithm = RateAlgorithm::kLeakyBucket, .queue = 1}});
  auto first = admit(caller("a"));
  (*first)->settle({});
  CallContext context;
  context.caller = caller("a");
  context.deadline = Deadline::after(30s);
  const InferenceRequest asked = request(1);
  const auto refused = run_task(
      loop_,
      check_.admit({.model = "m", .request = &asked, .tokens = estimate_tokens(asked), .context = context}));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kResourceExhausted);
  EXPECT_GT(refused.error().retry_after->count(), 3600);
}

/// With a common count of three replicas.
class SharedLimitCheckTest : public LimitCheckTest {
 protected:
  void share(std::vector<LimitConfig> limits) {
    check_.apply(limits, std::chrono::steady_clock::now(), ledger_);
  }
  double fallbacks() {
    return static_cast<double>(metrics_.counter("autoglm_limit_fallback_total", "").value());
  }

  std::shared_ptr<FakeLedger> ledger_ = std::make_shared<FakeLedger>(3);
};

TEST_F(SharedLimitCheckTest, RatesAreCountedTogetherAndPlacesHere) {
  share({{.name = "rpd", .requests = "300/day"},
         {.name = "held", .concurrent = 1},
         {.name = "tokens", .per = LimitScope::kTenant, .tokens = "3000/day"}});
  ledger_->answer = {{.state = {.limit = 300, .remaining = 5}}, {.state = {.limit = 3000, .remaining = 8}}};
  auto permit = admit(caller("a"), 20);
  ASSERT_TRUE(permit);
  ASSERT_EQ(ledger_->asked.at(0).size(), 2U);
  EXPECT_EQ(ledger_->asked[0][0].name, "{key:a}:rpd");
  EXPECT_EQ(ledger_->asked[0][0].amount, 1U);
  EXPECT_EQ(ledger_->asked[0][1].name, "{tenant:t}:tokens");
  EXPECT_EQ(ledger_->asked[0][1].amount, 20U);
  RateReport report;
  (*permit)->report(report);
  EXPECT_EQ(report.requests.value().remaining, 5U);
  EXPECT_EQ(report.tokens.value().remaining, 8U);
  EXPECT_FALSE(admit(caller("a"), 20)) << "its place is taken";
  EXPECT_EQ(ledger_->asked.size(), 1U) << "and nobody else needs to be asked";
  (*permit)->settle({.prompt_tokens = 2, .completion_tokens = 3});
  EXPECT_EQ(ledger_->settled, (std::vector<FakeLedger::Used>{{SharedTake::kAsReserved, 5}}));
  EXPECT_EQ(fallbacks(), 0);
}

TEST_F(SharedLimitCheckTest, ARefusalSaysWhatTheCommonCountSays) {
  share({{.name = "tokens", .tokens = "3000/day"}});
  ledger_->answer = {{.verdict = Verdict::kLater,
                      .retry_after = 90s,
                      .state = {.limit = 3000, .remaining = 8, .reset = 1h}}};
  const auto refused = admit(caller("a"), 20);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().retry_after, 90s);
  EXPECT_NE(refused.error().message.find("8 are left"), std::string::npos) << refused.error().message;
  EXPECT_EQ(ledger_->settled, (std::vector<FakeLedger::Used>{{0}}));
  EXPECT_EQ(admit(caller("a"), 3001).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(ledger_->asked.size(), 1U);
}

TEST_F(SharedLimitCheckTest, WithoutAnAnswerThisReplicaLetsItsShareThrough) {
  share({{.name = "rpd", .requests = "6/day"}});
  for (int i = 0; i < 2; ++i) {
    auto permit = admit(caller("a"));
    ASSERT_TRUE(permit);
    (*permit)->settle({});
  }
  EXPECT_EQ(admit(caller("a")).error().code, ErrorCode::kResourceExhausted);
  EXPECT_EQ(fallbacks(), 3);
  ledger_->answer = {RateDecision{}};
  EXPECT_TRUE(admit(caller("a"))) << "the common count has room";
}

TEST_F(SharedLimitCheckTest, AnonymousClientsHaveTheSameNameOnAllReplicasAndNoSecretInIt) {
  share({{.name = "rpd", .requests = "6/day"}});
  LimitCheck other(metrics_);
  other.apply({{.name = "rpd", .requests = "6/day"}}, std::chrono::steady_clock::now(), ledger_);
  CallContext context;
  context.tenant = "Bearer secret";
  const InferenceRequest asked = request(1);
  for (LimitCheck* each : {&check_, &other})
    EXPECT_TRUE(run_task(
        loop_, each->admit(
                   {.model = "m", .request = &asked, .tokens = estimate_tokens(asked), .context = context})));
  ASSERT_EQ(ledger_->asked.size(), 2U);
  EXPECT_EQ(ledger_->asked[0][0].name, ledger_->asked[1][0].name);
  EXPECT_EQ(ledger_->asked[0][0].name.find("secret"), std::string::npos);
}

TEST_F(LimitCheckTest, IsExactForAllLoopsTogether) {
  limit({{.name = "tokens", .per = LimitScope::kGlobal, .tokens = "1000/day"}});
  std::atomic<int> admitted{0};
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&] {
        EventLoop loop;
        CallContext context;
        const InferenceRequest asked = request(10);
        for (int i = 0; i < 200; ++i) {
          auto permit = run_task(
              loop,
              check_.admit(
                  {.model = "m", .request = &asked, .tokens = estimate_tokens(asked), .context = context}));
          if (!permit) continue;
          (*permit)->settle({.completion_tokens = 10});
          ++admitted;
        }
      });
    }
  }
  EXPECT_EQ(admitted, 100);
}

}  // namespace
}  // namespace autoglm::gateway
