#include "gateway/admission/usage/budget_check.h"

#include "gateway/admission/usage/price.h"

#include <fmt/format.h>

#include <cmath>
#include <optional>
#include <string_view>

namespace autoglm::gateway {

namespace {

using SpentBy = Spent (UsageTotals::*)(std::string_view, Day, Day) const;

std::uint64_t most_cost(const BudgetConfig& budget) {
  return static_cast<std::uint64_t>(std::llround(budget.cost * 1e9));
}

Error used_up(std::string_view owner, std::string_view name, const BudgetConfig& budget, Day end,
              WallTime now, bool of_tokens) {
  const std::string amount = of_tokens ? fmt::format("{} tokens", budget.tokens)
                                       : fmt::format("a cost of {}", decimal(most_cost(budget)));
  return Error{.code = ErrorCode::kResourceExhausted,
               .retry = Retry::kLater,
               .message = fmt::format(
                   "the {} \"{}\" has used up its budget of {} a {}; it begins anew on {} UTC", owner, name,
                   amount, budget.per == BudgetPeriod::kDay ? "day" : "month", to_string(end)),
               .reason = "budget_exhausted",
               .retry_after = std::chrono::ceil<std::chrono::seconds>(end - now)};
}

}  // namespace

config::Descriptor<BudgetConfig> describe_budget() {
  using C = BudgetConfig;
  return config::Descriptor<C>("budget",
                               "How much may be used in a day or a month, by UTC's calendar. "
                               "Calls that have begun go on to their end.")
      .field("tokens", &C::tokens,
             {.doc = "Tokens of prompts and answers. 0: any number.", .example = "10000000"})
      .field("cost", &C::cost,
             {.doc = "In the currency of `prices`. 0: any.",
              .example = "25.50",
              .min = 0,
              .max = BudgetConfig::kHighestCost})
      .field("per", &C::per, {.doc = "The time after which it begins anew."})
      .check([](const C& c) {
        std::vector<config::Violation> wrong;
        if (c.cost > 0 && most_cost(c) == 0)
          wrong.push_back({"cost", "is less than can be counted; the least is 0.000000001"});
        if (c.tokens == 0 && c.cost == 0)
          wrong.push_back({"tokens", "and `cost` are both 0, which limits nothing; set one of them"});
        return wrong;
      });
}

BudgetCheck::BudgetCheck(const UsageTotals& totals, WallClock now)
    : totals_(totals), now_(std::move(now)), budgets_(std::make_shared<const Budgets>()) {}

Task<Result<std::unique_ptr<Permit>>> BudgetCheck::admit(const AdmissionFacts& facts) {
  const Caller* const caller = facts.context.caller.get();
  if (facts.request == nullptr || caller == nullptr) co_return nullptr;
  const std::shared_ptr<const Budgets> budgets = budgets_.get();
  const WallTime now = now_();
  const auto check = [&](std::string_view owner, const auto& all, const std::string& name,
                         SpentBy spent_by) -> std::optional<Error> {
    const auto found = all.find(name);
    if (found == all.end()) return std::nullopt;
    const BudgetConfig& budget = found->second;
    const bool daily = budget.per == BudgetPeriod::kDay;
    const Day today = day_of(now);
    const Day begin = daily ? today : month_of(today);
    const Day end = daily ? today + std::chrono::days(1) : month_after(today);
    const Spent spent = (totals_.*spent_by)(name, begin, end - std::chrono::days(1));
    const bool of_tokens = budget.tokens > 0 && spent.tokens >= budget.tokens;
    const bool of_cost = budget.cost > 0 && spent.cost >= most_cost(budget);
    if (!of_tokens && !of_cost) return std::nullopt;
    return used_up(owner, name, budget, end, now, of_tokens);
  };
  auto refusal = check("key", budgets->keys, caller->key, &UsageTotals::spent_by_key);
  if (!refusal) refusal = check("tenant", budgets->tenants, caller->tenant, &UsageTotals::spent_by_tenant);
  if (refusal) co_return fail(std::move(*refusal));
  co_return nullptr;
}

}  // namespace autoglm::gateway
