#pragma once

#include "config/descriptor.h"
#include "gateway/admission/usage/usage_day.h"

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <utility>

namespace autoglm::gateway {

enum class BudgetPeriod : std::uint8_t { kDay, kMonth };
inline std::array<config::EnumName<BudgetPeriod>, 2> enum_names(BudgetPeriod) {
  return {{{"day", BudgetPeriod::kDay}, {"month", BudgetPeriod::kMonth}}};
}

/// How much a key or a tenant may use in a day or a month of UTC.
struct BudgetConfig {
  static constexpr double kHighestCost = 1e9;

  std::uint64_t tokens = 0;  ///< of prompts and answers; 0: any number
  double cost = 0;           ///< in the prices' currency; 0: any
  BudgetPeriod per = BudgetPeriod::kMonth;
  bool hard = false;  ///< an answer that passes it is ended

  bool operator==(const BudgetConfig&) const = default;

  /// In 10^-9 of the currency.
  std::uint64_t most_cost() const;
  /// The first day of the period that has `today`, and the first one after it.
  std::pair<Day, Day> days(Day today) const;
};

config::Descriptor<BudgetConfig> describe_budget();

/// The budgets of now, by the names of keys and of tenants.
struct Budgets {
  std::map<std::string, BudgetConfig, std::less<>> keys;
  std::map<std::string, BudgetConfig, std::less<>> tenants;
};

}  // namespace autoglm::gateway
