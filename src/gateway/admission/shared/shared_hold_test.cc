#include "gateway/admission/shared/shared_hold.h"

#include "gateway/admission/shared/testing/fake_ledger.h"
#include "runtime/testing/run_task.h"

#include <gtest/gtest.h>

namespace autoglm::gateway {
namespace {

using namespace std::chrono_literals;
using Used = FakeLedger::Used;

const RateDecision kYes{.state = {.limit = 300, .remaining = 7}};
const RateDecision kNo{.verdict = Verdict::kLater, .retry_after = 3s};

class SharedHoldTest : public ::testing::Test {
 protected:
  static constexpr std::uint32_t kReplicas = 3;

  std::shared_ptr<const SharedLimit> limit(std::uint64_t amount, bool counts_tokens = true) {
    const RateSpec whole{.amount = amount, .period = 24h};
    return std::make_shared<const SharedLimit>(
        SharedLimit{.whole = whole,
                    .spec = SharedSpec::of(whole).value(),
                    .name = "tokens",
                    .share = std::make_shared<RateTable>(share_of(whole, kReplicas), 10, now()),
                    .counts_tokens = counts_tokens});
  }
  static MonotonicTime now() { return std::chrono::steady_clock::now(); }
  static std::uint64_t left(const SharedLimit& limit) { return limit.share->state("s", now()).remaining; }
  bool decide(SharedHold& hold) { return run_task(loop_, hold.decide(ledger_)); }

  EventLoop loop_;
  FakeLedger ledger_{kReplicas};
};

TEST_F(SharedHoldTest, TheCommonCountDecides) {
  const auto tokens = limit(300);
  ledger_.answer = {kNo};
  {
    SharedHold hold;
    hold.add(tokens, "s", 10);
    EXPECT_TRUE(decide(hold));
    EXPECT_EQ(hold.decision(0).verdict, Verdict::kLater);
    EXPECT_EQ(hold.decision(0).retry_after, Duration(3s));
  }
  EXPECT_EQ(ledger_.asked.at(0).at(0).name, "{s}:tokens");
  EXPECT_EQ(ledger_.settled, std::vector<Used>{{0}}) << "the call goes without";
  EXPECT_EQ(left(*tokens), 100U) << "as does the share";
}

TEST_F(SharedHoldTest, TheShareDecidesWhenThereIsNoAnswer) {
  const auto tokens = limit(300);
  SharedHold hold;
  hold.add(tokens, "s", 60);
  EXPECT_FALSE(decide(hold));
  EXPECT_EQ(hold.decision(0).verdict, Verdict::kAdmitted);
  {
    SharedHold more;
    more.add(tokens, "s", 60);
    EXPECT_FALSE(decide(more));
    EXPECT_EQ(more.decision(0).verdict, Verdict::kLater) << "100 is the share";
  }
  hold.settle(50);
  EXPECT_EQ(ledger_.settled, (std::vector<Used>{{0}, {50}}));
}

TEST_F(SharedHoldTest, AShareIsUsedUpByWhatTheCommonCountLetThrough) {
  const auto tokens = limit(300);
  ledger_.answer = {kYes};
  for (int i = 0; i < 3; ++i) {
    SharedHold hold;
    hold.add(tokens, "s", 60);
    EXPECT_TRUE(decide(hold));
    EXPECT_EQ(hold.decision(0).verdict, Verdict::kAdmitted);
    EXPECT_EQ(hold.decision(0).state.remaining, 7U);
    hold.settle(40);
  }
  EXPECT_EQ(ledger_.settled, (std::vector<Used>{{40}, {40}, {40}}));
  EXPECT_EQ(left(*tokens), 0U) << "the third one had no place in it, and fills it up";
  ledger_.answer.reset();
  SharedHold hold;
  hold.add(tokens, "s", 1);
  EXPECT_FALSE(decide(hold));
  EXPECT_EQ(hold.decision(0).verdict, Verdict::kLater);
  EXPECT_LT(hold.decision(0).retry_after, Duration(24h) / 100) << "it is not in debt";
}

TEST_F(SharedHoldTest, RequestsStayTakenAndTokensAreSettled) {
  const auto requests = limit(300, false), tokens = limit(300);
  ledger_.answer = {kYes, kYes};
  SharedHold hold;
  hold.add(requests, "s", 1);
  hold.add(tokens, "s", 50);
  EXPECT_TRUE(decide(hold));
  hold.settle(70);
  EXPECT_EQ(ledger_.settled, (std::vector<Used>{{SharedTake::kAsReserved, 70}}));
  EXPECT_EQ(left(*requests), 99U);
  EXPECT_EQ(left(*tokens), 30U);
}

TEST_F(SharedHoldTest, WhatFitsIntoNoShareMayWaitForTheCommonCount) {
  const auto tokens = limit(300);
  SharedHold hold;
  hold.add(tokens, "s", 200);
  EXPECT_FALSE(decide(hold));
  EXPECT_EQ(hold.decision(0).verdict, Verdict::kLater);
  EXPECT_GT(hold.decision(0).retry_after, Duration::zero());
}

TEST_F(SharedHoldTest, ACallThatEndsBeforeTheAnswerGivesBack) {
  const auto tokens = limit(300);
  {
    SharedHold hold;
    hold.add(tokens, "s", 10);
    EXPECT_FALSE(decide(hold));
  }
  EXPECT_EQ(ledger_.settled, std::vector<Used>{{0}});
  EXPECT_EQ(left(*tokens), 100U);
}

}  // namespace
}  // namespace autoglm::gateway
