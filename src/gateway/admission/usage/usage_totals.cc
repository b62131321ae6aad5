#include "gateway/admission/usage/usage_totals.h"

#include <algorithm>
#include <utility>

namespace autoglm::gateway {

namespace {

/// A month's budget needs its days, however few are kept for queries.
constexpr std::size_t kLeastSpentDays = 40;

/// Begins the names of callers with tokens, of whom there is any number. They have no budgets as keys.
constexpr std::string_view kTokenNames = "jwt:";

/// Removes the oldest days beyond `most`.
template <class Days>
void keep(Days& days, std::size_t most) {
  while (days.size() > most) days.erase(days.begin());
}

}  // namespace

void UsageTotals::add(const UsageRecord& record) {
  const Day day = day_of(record.time);
  const UsageSums sums = sums_of(record);
  using Views = std::tuple<std::string_view, std::string_view, std::string_view>;
  const Views names(record.key, record.tenant, record.model);

  const std::lock_guard lock(mutex_);
  Rows& rows = days_[day];
  auto row = rows.find(names);
  if (row == rows.end()) {
    const Views shown = rows.size() + 1 < options_.rows_per_day ? names : Views(kOthers, kOthers, kOthers);
    row = rows.try_emplace(Names(shown)).first;
  }
  row->second += sums;
  keep(days_, options_.days);
  if (day > newest_) {
    newest_ = day;
    forget_old(by_key_);
    forget_old(by_tenant_);
  }
  if (!record.key.starts_with(kTokenNames)) spend(by_key_, record.key, day, sums);
  spend(by_tenant_, record.tenant, day, sums);
}

/// Names that were not seen for as long as days are kept. A few of them cost nothing, and may be back when a
/// clock was wrong.
void UsageTotals::forget_old(SpentDays& of) const {
  if (of.size() <= options_.rows_per_day) return;
  const Day first = newest_ - std::chrono::days(std::max(options_.days, kLeastSpentDays));
  std::erase_if(of, [&](const auto& each) { return each.second.rbegin()->first < first; });
}

std::vector<UsageRow> UsageTotals::query(const UsageQuery& query) const {
  std::map<std::pair<Day, Names>, UsageSums> found;
  for (Day next = query.from;;) {
    const std::lock_guard lock(mutex_);
    const auto day = days_.lower_bound(next);
    if (day == days_.end() || day->first > query.to) break;
    for (const auto& [names, sums] : day->second) {
      const auto& [key, tenant, model] = names;
      if (!query.asks_for(key, tenant, model)) continue;
      found[{query.by_day ? day->first : Day{},
             {query.by_key ? key : "", query.by_tenant ? tenant : "", query.by_model ? model : ""}}] += sums;
    }
    next = day->first + std::chrono::days(1);
  }
  std::vector<UsageRow> rows;
  for (auto& [name, sums] : found) {
    const auto& [key, tenant, model] = name.second;
    rows.push_back({.day = name.first, .key = key, .tenant = tenant, .model = model, .sums = sums});
  }
  return rows;
}

Spent UsageTotals::spent_by_key(std::string_view key, Day from, Day to) const {
  return spent(by_key_, key, from, to);
}

Spent UsageTotals::spent_by_tenant(std::string_view tenant, Day from, Day to) const {
  return spent(by_tenant_, tenant, from, to);
}

void UsageTotals::spend(SpentDays& of, std::string_view name, Day day, const UsageSums& sums) const {
  if (name.empty()) return;
  auto found = of.find(name);
  if (found == of.end()) found = of.try_emplace(std::string(name)).first;
  Spent& spent = found->second[day];
  spent.tokens += sums.prompt_tokens + sums.completion_tokens;
  spent.cost += sums.cost;
  keep(found->second, std::max(options_.days, kLeastSpentDays));
}

Spent UsageTotals::spent(const SpentDays& of, std::string_view name, Day from, Day to) const {
  Spent sum;
  const std::lock_guard lock(mutex_);
  const auto found = of.find(recorded_text(name));
  if (found == of.end()) return sum;
  const auto& days = found->second;
  for (auto day = days.lower_bound(from); day != days.end() && day->first <= to; ++day) {
    sum.tokens += day->second.tokens;
    sum.cost += day->second.cost;
  }
  return sum;
}

}  // namespace autoglm::gateway
