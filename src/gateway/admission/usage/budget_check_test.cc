#include "gateway/admission/usage/budget_check.h"

#include "base/random.h"
#include "config/load.h"
#include "runtime/testing/run_task.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

namespace autoglm::gateway {
namespace {

using namespace std::chrono;

class BudgetCheckTest : public ::testing::Test {
 protected:
  void use(std::uint32_t tokens, std::uint64_t cost = 0, const std::string& key = "mobile") {
    totals_.add({.time = floor<milliseconds>(now_),
                 .key = key,
                 .tenant = "acme",
                 .prompt_tokens = tokens - 1,
                 .completion_tokens = 1,
                 .cost = cost});
  }
  void limit_key(const BudgetConfig& budget) {
    check_.apply(std::make_shared<const Budgets>(Budgets{.keys = {{"mobile", budget}}, .tenants = {}}));
  }
  void limit_tenant(const BudgetConfig& budget) {
    check_.apply(std::make_shared<const Budgets>(Budgets{.keys = {}, .tenants = {{"acme", budget}}}));
  }
  /// A call of `prompt` tokens that may use `most` more.
  Result<std::unique_ptr<Permit>> ask(const std::string& key = "mobile", std::uint32_t most = 0,
                                      std::size_t prompt = 1) {
    GenerateRequest work{.prompts = {TokenPrompt{.tokens = std::vector<TokenId>(prompt)}}};
    work.stop.max_tokens = most;
    return ask_for({.work = std::move(work)}, key);
  }
  Result<std::unique_ptr<Permit>> ask_for(const InferenceRequest& request, const std::string& key = "mobile",
                                          bool generates = true) {
    CallContext context;
    if (!key.empty())
      context.caller = std::make_shared<const Caller>(Caller{.key = key, .tenant = "acme", .group = {}});
    return run_task(loop_, check_.admit({.model = "m",
                                         .request = generates ? &request : nullptr,
                                         .tokens = estimate_tokens(request),
                                         .context = context}));
  }
  /// As the ledger does it: the totals first, then the client may know.
  void end(std::unique_ptr<Permit> permit, std::uint32_t tokens) {
    permit->settle({.prompt_tokens = 1, .completion_tokens = tokens - 1});
    use(tokens);
    permit->closed();
  }

  WallTime now_ = Day(2026y / November / 29) + 23h + 59min;
  EventLoop loop_;
  UsageTotals totals_;
  BudgetCheck check_{totals_, [this] { return now_; }};
};

TEST_F(BudgetCheckTest, ADaysTokensEndAndBeginAnew) {
  limit_key({.tokens = 100, .per = BudgetPeriod::kDay});
  use(99);
  EXPECT_TRUE(ask());
  use(1);
  const auto refused = ask();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kResourceExhausted);
  EXPECT_EQ(refused.error().reason, "budget_exhausted");
  EXPECT_EQ(refused.error().retry_after, 60s);
  EXPECT_EQ(
      refused.error().message,
      "the key \"mobile\" has used up its budget of 100 tokens a day; it begins anew on 2026-11-30 UTC");
  EXPECT_TRUE(ask("batch")) << "another key of the tenant";
  EXPECT_TRUE(ask("")) << "no keys are configured";
  EXPECT_TRUE(ask_for({}, "mobile", false)) << "tokenizing uses nothing";
  now_ += 1min;
  EXPECT_TRUE(ask());
}

TEST_F(BudgetCheckTest, AMonthsCostEndsAndBeginsAnew) {
  limit_tenant({.cost = 0.5, .per = BudgetPeriod::kMonth});
  now_ = Day(2026y / November / 1);
  use(10, 300'000'000, "batch");
  now_ = Day(2026y / November / 30) + 12h;
  EXPECT_TRUE(ask());
  use(10, 200'000'000);
  const auto refused = ask();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().retry_after, 12h);
  EXPECT_EQ(refused.error().message,
            "the tenant \"acme\" has used up its budget of a cost of 0.5 a month; it begins anew on "
            "2026-12-01 UTC");
  now_ += 12h;
  EXPECT_TRUE(ask());
}

TEST_F(BudgetCheckTest, ChangesWhileItRuns) {
  use(100);
  EXPECT_TRUE(ask()) << "there is no budget";
  limit_key({.tokens = 100});
  EXPECT_FALSE(ask());
  limit_key({.tokens = 101});
  EXPECT_TRUE(ask());
  limit_key({.tokens = 1000, .cost = 1e-9});
  use(1, 1);
  EXPECT_FALSE(ask()) << "both hold";
}

TEST_F(BudgetCheckTest, CallsThatRunCount) {
  limit_key({.tokens = 100});
  auto first = ask("mobile", 59), second = ask("mobile", 29);
  ASSERT_TRUE(first && second);
  const auto third = ask("mobile", 10);
  ASSERT_FALSE(third);
  EXPECT_EQ(third.error().code, ErrorCode::kResourceExhausted);
  EXPECT_EQ(third.error().retry_after, 1s) << "the others may give something back";
  EXPECT_EQ(
      third.error().message,
      "this call may use 11 tokens, and the key \"mobile\" has 10 tokens left until calls of it that run "
      "have ended; try again then, or ask for fewer tokens (max_tokens)");
  EXPECT_TRUE(ask("mobile", 9)) << "10 fit, and come back at once";
  end(std::move(*first), 20);
  EXPECT_TRUE(ask("mobile", 49)) << "20 are used, 30 reserved";
  EXPECT_FALSE(ask("mobile", 50));
  second->reset();
  EXPECT_TRUE(ask("mobile", 79)) << "a call that has failed gives back what it held";
}

TEST_F(BudgetCheckTest, WhatDoesNotFitIsToldApart) {
  limit_key({.tokens = 100, .per = BudgetPeriod::kDay});
  use(70);
  const auto later = ask("mobile", 30);
  ASSERT_FALSE(later);
  EXPECT_EQ(later.error().code, ErrorCode::kResourceExhausted);
  EXPECT_EQ(later.error().retry_after, 60s);
  EXPECT_EQ(
      later.error().message,
      "this call may use 31 tokens, and the key \"mobile\" has 30 tokens left of its budget; ask for fewer "
      "tokens (max_tokens), or wait until it begins anew on 2026-11-30 UTC");
  const auto never = ask("mobile", 100);
  ASSERT_FALSE(never);
  EXPECT_EQ(never.error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(never.error().reason, "budget_too_small");
  EXPECT_TRUE(ask("mobile", 29));
}

TEST_F(BudgetCheckTest, AReservationStaysUntilTheTotalsHaveIt) {
  limit_key({.tokens = 100});
  auto permit = ask("mobile", 99).value();
  permit->settle({.prompt_tokens = 1, .completion_tokens = 98});
  EXPECT_TRUE(ask("mobile", 0)) << "one was not used";
  EXPECT_FALSE(ask("mobile", 1));
  use(99);
  permit->closed();
  EXPECT_TRUE(ask("mobile", 0));
  EXPECT_FALSE(ask("mobile", 1));
}

TEST_F(BudgetCheckTest, CostsAreReservedAtThePrices) {
  check_.apply(PriceTable::make(std::vector<PriceConfig>{{.input = 1000, .output = 2000}}).value());
  limit_tenant({.cost = 0.1});  // 0.001 a token of a prompt, 0.002 one of an answer
  auto first = ask("mobile", 30, 10);
  ASSERT_TRUE(first);
  EXPECT_FALSE(ask("batch", 15, 1)) << "0.07 + 0.031";
  auto second = ask("batch", 14, 2);
  ASSERT_TRUE(second) << "0.07 + 0.03";
  EXPECT_FALSE(ask("batch", 0, 1));
}

TEST_F(BudgetCheckTest, AHardBudgetAdmitsWhileAnythingIsLeftAndEndsAnswers) {
  limit_key({.tokens = 1000, .hard = true});
  use(800);
  auto first = ask("mobile", 100'000), second = ask("mobile", 100'000, 99);
  ASSERT_TRUE(first);
  EXPECT_FALSE(second) << "the first one holds all that is left";
  const auto used = [](std::uint32_t tokens) {
    return Usage{.prompt_tokens = 1, .completion_tokens = tokens - 1};
  };
  EXPECT_TRUE((*first)->watch(used(200)));
  const auto cut = (*first)->watch(used(201));
  ASSERT_FALSE(cut);
  EXPECT_EQ(cut.error().reason, "budget_exhausted");
  EXPECT_EQ(cut.error().retry_after, 24h + 1min) << "nothing is left this month";
  end(std::move(*first), 201);
  EXPECT_FALSE(ask("mobile", 1));
}

TEST_F(BudgetCheckTest, AHardBudgetIsSharedByAnswersThatGoOn) {
  limit_key({.tokens = 1000, .hard = true});
  auto first = ask("mobile", 99), second = ask("mobile", 99);
  ASSERT_TRUE(first && second);
  std::uint32_t of_first = 100, of_second = 100;
  // Both are longer than they said, and take what is left by turns.
  while ((*first)->watch({.prompt_tokens = 1, .completion_tokens = of_first})) ++of_first;
  while ((*second)->watch({.prompt_tokens = 1, .completion_tokens = of_second})) ++of_second;
  EXPECT_EQ(of_first, 900U) << "the second one keeps what it has reserved";
  EXPECT_EQ(of_second, 100U);
  const auto cut = (*first)->watch({.prompt_tokens = 1, .completion_tokens = 900});
  ASSERT_FALSE(cut);
  EXPECT_EQ(cut.error().retry_after, 1s) << "the second one may give something back";
  EXPECT_EQ(cut.error().message,
            "this answer has used what the key \"mobile\" has left of its budget until calls of it that run "
            "have ended; try again then");
}

TEST_F(BudgetCheckTest, ABudgetThatIsNotHardEndsNoAnswer) {
  limit_key({.tokens = 100});
  auto permit = ask("mobile", 49);
  ASSERT_TRUE(permit);
  EXPECT_TRUE((*permit)->watch({.prompt_tokens = 1, .completion_tokens = 500}));
  EXPECT_FALSE(ask("mobile", 0)) << "what it uses beyond its reservation counts while it runs";
}

TEST_F(BudgetCheckTest, AKeyAndItsTenantBothHold) {
  check_.apply(std::make_shared<const Budgets>(
      Budgets{.keys = {{"mobile", {.tokens = 100}}}, .tenants = {{"acme", {.tokens = 50}}}}));
  EXPECT_FALSE(ask("mobile", 60)) << "400: more than the tenant's whole budget";
  EXPECT_TRUE(ask("mobile", 49));
  EXPECT_TRUE(ask("mobile", 49)) << "nothing stays reserved by either";
  auto other = ask("batch", 29);
  EXPECT_FALSE(ask("mobile", 20));
}

TEST_F(BudgetCheckTest, AClockThatIsSetBackBringsBackTheUsageOfThatDay) {
  limit_key({.tokens = 100, .per = BudgetPeriod::kDay});
  use(90);
  now_ += 1h;
  EXPECT_TRUE(ask("mobile", 90)) << "the next day";
  use(95);
  now_ -= 1h;
  EXPECT_FALSE(ask("mobile", 10));
  EXPECT_TRUE(ask("mobile", 9));
  now_ += 1h;
  EXPECT_FALSE(ask("mobile", 5));
}

/// Threads that reserve, end and fail: the totals and what runs are never above the budget.
TEST_F(BudgetCheckTest, HoldsUnderConcurrency) {
  limit_key({.tokens = 20'000});
  std::atomic<std::uint64_t> running{0};
  std::vector<std::thread> threads;
  std::atomic<bool> exceeded{false};
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] {
      EventLoop loop;
      Random random(static_cast<std::uint64_t>(i));
      for (int k = 0; k < 2000; ++k) {
        const auto most = static_cast<std::uint32_t>(random.below(200));
        GenerateRequest work{.prompts = {TokenPrompt{.tokens = std::vector<TokenId>(1)}}};
        work.stop.max_tokens = most;
        const InferenceRequest request{.work = std::move(work)};
        CallContext context;
        context.caller =
            std::make_shared<const Caller>(Caller{.key = "mobile", .tenant = "acme", .group = {}});
        auto permit = run_task(
            loop,
            check_.admit(
                {.model = "m", .request = &request, .tokens = estimate_tokens(request), .context = context}));
        if (!permit) continue;
        const std::uint64_t mine = most + 1;
        const std::uint64_t now = running.fetch_add(mine) + mine;
        const Spent spent = totals_.spent_by_key("mobile", Day::min(), Day::max());
        // `running` may have what the totals have by now; then it is less than it was.
        if (spent.tokens > 20'000 || now > 20'000) exceeded = true;
        running.fetch_sub(mine);
        if (random.below(4) == 0) continue;  // it fails
        const auto used = static_cast<std::uint32_t>(random.below(mine)) + 1;
        end(std::move(*permit), used);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  const std::uint64_t spent = totals_.spent_by_key("mobile", Day::min(), Day::max()).tokens;
  EXPECT_FALSE(exceeded);
  EXPECT_LE(spent, 20'000U);
  EXPECT_GT(spent, 19'000U);
  if (spent < 20'000) {
    EXPECT_TRUE(ask("mobile", static_cast<std::uint32_t>(20'000 - spent - 1))) << "nothing stays reserved";
  }
}

TEST(Budget, IsReadFromAConfiguration) {
  const auto read = [](const char* text) {
    return config::load(describe_budget(), {.file_name = "f.yaml", .file_text = text});
  };
  EXPECT_EQ(read("{ tokens: 10000000, per: day }").value(),
            (BudgetConfig{.tokens = 10'000'000, .per = BudgetPeriod::kDay}));
  EXPECT_TRUE(read("{ tokens: 5, hard: true }")->hard);
  EXPECT_EQ(read("cost: 25.5").value(), (BudgetConfig{.cost = 25.5}));
  EXPECT_FALSE(read("per: month")) << "it limits nothing";
  EXPECT_FALSE(read("{ tokens: 1, per: year }"));
}

}  // namespace
}  // namespace autoglm::gateway
