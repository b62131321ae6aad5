#include "gateway/admission/usage/budget_check.h"

#include "config/load.h"
#include "runtime/testing/run_task.h"

#include <gtest/gtest.h>

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
  Result<std::unique_ptr<Permit>> ask(const std::string& key = "mobile", bool generates = true) {
    const InferenceRequest request;
    CallContext context;
    if (!key.empty())
      context.caller = std::make_shared<const Caller>(Caller{.key = key, .tenant = "acme", .group = {}});
    return run_task(
        loop_, check_.admit({.model = "m", .request = generates ? &request : nullptr, .context = context}));
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
  EXPECT_TRUE(ask("mobile", false)) << "tokenizing uses nothing";
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

TEST(Budget, IsReadFromAConfiguration) {
  const auto read = [](const char* text) {
    return config::load(describe_budget(), {.file_name = "f.yaml", .file_text = text});
  };
  EXPECT_EQ(read("{ tokens: 10000000, per: day }").value(),
            (BudgetConfig{.tokens = 10'000'000, .per = BudgetPeriod::kDay}));
  EXPECT_EQ(read("cost: 25.5").value(), (BudgetConfig{.cost = 25.5}));
  EXPECT_FALSE(read("per: month")) << "it limits nothing";
  EXPECT_FALSE(read("{ tokens: 1, per: year }"));
}

}  // namespace
}  // namespace autoglm::gateway
