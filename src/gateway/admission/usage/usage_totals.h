#pragma once

#include "gateway/admission/usage/usage_day.h"
#include "gateway/admission/usage/usage_query.h"
#include "gateway/admission/usage/usage_record.h"

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

namespace autoglm::gateway {

/// What a key or a tenant has used up of its budget.
struct Spent {
  std::uint64_t tokens = 0;  ///< of prompts and answers
  std::uint64_t cost = 0;    ///< in 10^-9 of the currency
};

/// Sums of usage by UTC day, key, tenant and model, in memory. Thread-safe: a mutex is held for one row's
/// change, or while the rows of one day are read.
class UsageTotals {
 public:
  /// The key, tenant and model of a day's last row, which has what exceeds `rows_per_day`.
  static constexpr std::string_view kOthers = "(others)";

  struct Options {
    std::size_t days = 62;  ///< with usage; the oldest goes when there is one more
    std::size_t rows_per_day = 4096;
  };

  UsageTotals() : UsageTotals(Options{}) {}
  explicit UsageTotals(const Options& options) : options_(options) {}

  void add(const UsageRecord& record);
  /// In the order of day, key, tenant, model. Hours are not kept: the query is not by them.
  std::vector<UsageRow> query(const UsageQuery& query) const;

  /// What the key has used in the days `from` … `to`, both included, whatever row has it. Callers with tokens
  /// are no keys. Of more names than a day has rows, those that were not seen for 62 days are forgotten.
  Spent spent_by_key(std::string_view key, Day from, Day to) const;
  Spent spent_by_tenant(std::string_view tenant, Day from, Day to) const;

 private:
  using Names = std::tuple<std::string, std::string, std::string>;  // key, tenant, model
  using Rows = std::map<Names, UsageSums, std::less<>>;
  // Names are those of keys, of tenants that tokens may name, and of earlier ones in the journal.
  using SpentDays = std::map<std::string, std::map<Day, Spent>, std::less<>>;

  void forget_old(SpentDays& of) const;
  void spend(SpentDays& of, std::string_view name, Day day, const UsageSums& sums) const;
  Spent spent(const SpentDays& of, std::string_view name, Day from, Day to) const;

  const Options options_;
  mutable std::mutex mutex_;
  std::map<Day, Rows> days_;
  SpentDays by_key_, by_tenant_;
  Day newest_ = Day::min();
};

}  // namespace autoglm::gateway
