#pragma once

#include "base/published.h"
#include "config/descriptor.h"
#include "gateway/admission/admission_check.h"
#include "gateway/admission/usage/usage_day.h"
#include "gateway/admission/usage/usage_totals.h"

#include <array>
#include <cstdint>
#include <map>
#include <memory>
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

  bool operator==(const BudgetConfig&) const = default;
};

config::Descriptor<BudgetConfig> describe_budget();

/// The budgets of now, by the names of keys and of tenants.
struct Budgets {
  std::map<std::string, BudgetConfig, std::less<>> keys;
  std::map<std::string, BudgetConfig, std::less<>> tenants;
};

/// Refuses the calls of a key, and of a tenant, whose budget is used up. What has been used is what
/// UsageTotals have: calls that still run are not counted, so all that began before the budget was used up
/// may exceed it together. Calls without a key, and those that generate nothing, pass. Thread-safe.
class BudgetCheck final : public AdmissionCheck {
 public:
  /// `totals` must outlive it.
  explicit BudgetCheck(const UsageTotals& totals, WallClock now = std::chrono::system_clock::now);

  /// Errors: kResourceExhausted, with the time until the day or the month ends.
  Task<Result<std::unique_ptr<Permit>>> admit(const AdmissionFacts& facts) override;

  void apply(std::shared_ptr<const Budgets> budgets) { budgets_.set(std::move(budgets)); }

 private:
  const UsageTotals& totals_;
  const WallClock now_;
  Published<Budgets> budgets_;
};

}  // namespace autoglm::gateway
