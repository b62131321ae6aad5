#pragma once

#include "base/published.h"
#include "gateway/admission/admission_check.h"
#include "gateway/admission/usage/budget_config.h"
#include "gateway/admission/usage/price.h"
#include "gateway/admission/usage/usage_day.h"
#include "gateway/admission/usage/usage_totals.h"

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

namespace autoglm::gateway {

/// Keeps the calls of a key, and of a tenant, within a budget. A call reserves what it may use, priced, until
/// UsageTotals have what it has used: so at any moment what was used and what runs are together within the
/// budget, however many calls run at the same time. Only what a call uses beyond its reservation, which is
/// estimated and may be of an answer without `max_tokens`, can exceed it.
///
/// A hard budget admits a call while the prompt and one token fit, and reserves what is left up to what the
/// call may use. A call that uses more takes more, as long as there is any, and then its answer ends: so the
/// budget is exceeded by at most one part of the answer a call.
///
/// Calls without a key, and those that generate nothing, pass. Thread-safe: calls with a budget hold one
/// mutex while the days of the budget's period are added up. It outlives its permits.
class BudgetCheck final : public AdmissionCheck {
 public:
  /// `totals` must outlive it.
  explicit BudgetCheck(const UsageTotals& totals, WallClock now = std::chrono::system_clock::now);

  /// Errors: kResourceExhausted, with the time until the day or the month ends, or until calls that run may
  /// have given something back; kInvalidArgument for a call that is larger than the whole budget.
  Task<Result<std::unique_ptr<Permit>>> admit(const AdmissionFacts& facts) override;

  /// From the next call on.
  void apply(std::shared_ptr<const Budgets> budgets) { budgets_.set(std::move(budgets)); }
  void apply(std::shared_ptr<const PriceTable> prices) { prices_.set(std::move(prices)); }

 private:
  class BudgetPermit;
  /// Whose budgets they are.
  enum class Owners : std::uint8_t { kKeys, kTenants };
  /// What is reserved of one owner's budget.
  struct Reserved {
    Spent amount;
    std::size_t calls = 0;
  };
  using ReservedBy = std::map<std::string, Reserved, std::less<>>;
  /// A call's part of one budget.
  struct Share {
    Owners owners;
    BudgetConfig budget;
    ReservedBy::iterator reserved;
    Spent amount;  // of `reserved`
  };
  /// What is there of a budget at a moment.
  struct Rest {
    Spent used;      // by calls that have ended
    Spent reserved;  // by others that run
    Day end{};       // of the period
    WallTime now;
  };

  ReservedBy& of(Owners owners) { return owners == Owners::kKeys ? reserved_by_key_ : reserved_by_tenant_; }
  Rest rest(const Share& share) const;
  Result<Spent> grant(const Share& share, const Spent& least, const Spent& most) const;
  Result<void> grow(Share& share, const Spent& used, const Spent& wanted) const;
  void set(Share& share, const Spent& amount) const;

  static std::string described(const Share& share);
  static Error used_up(const Share& share, const Rest& rest, bool of_tokens);
  static Error held_by_others(const Share& share);
  static Error too_large(const Share& share, const Spent& asked, bool of_tokens);
  static Error too_little_left(const Share& share, const Rest& rest, const Spent& asked, bool of_tokens);

  const UsageTotals& totals_;
  const WallClock now_;
  Published<Budgets> budgets_;
  Published<PriceTable> prices_;
  std::mutex mutex_;
  ReservedBy reserved_by_key_, reserved_by_tenant_;  // of owners that have calls
};

}  // namespace autoglm::gateway
