#include "gateway/admission/usage/budget_config.h"

#include <cmath>
#include <vector>

namespace autoglm::gateway {

std::uint64_t BudgetConfig::most_cost() const { return static_cast<std::uint64_t>(std::llround(cost * 1e9)); }

std::pair<Day, Day> BudgetConfig::days(Day today) const {
  if (per == BudgetPeriod::kDay) return {today, today + std::chrono::days(1)};
  return {month_of(today), month_after(today)};
}

config::Descriptor<BudgetConfig> describe_budget() {
  using C = BudgetConfig;
  return config::Descriptor<C>("budget", "How much may be used in a day or a month, by UTC's calendar.")
      .field("tokens", &C::tokens,
             {.doc = "Tokens of prompts and answers. 0: any number.", .example = "10000000"})
      .field("cost", &C::cost,
             {.doc = "In the currency of `prices`. 0: any.",
              .example = "25.50",
              .min = 0,
              .max = BudgetConfig::kHighestCost})
      .field("per", &C::per, {.doc = "The time after which it begins anew."})
      .field(
          "hard", &C::hard,
          {.doc = "true: calls are admitted while anything is left, and an answer that uses up the rest is "
                  "ended with an error. false: calls are admitted whose `max_tokens` fit into what is left, "
                  "and no answer is ended."})
      .check([](const C& c) {
        std::vector<config::Violation> wrong;
        if (c.cost > 0 && c.most_cost() == 0)
          wrong.push_back({"cost", "is less than can be counted; the least is 0.000000001"});
        if (c.tokens == 0 && c.cost == 0)
          wrong.push_back({"tokens", "and `cost` are both 0, which limits nothing; set one of them"});
        return wrong;
      });
}

}  // namespace autoglm::gateway
