#pragma once

#include "gateway/admission/usage/usage_day.h"
#include "gateway/admission/usage/usage_record.h"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace autoglm::gateway {

/// The sums of several calls.
struct UsageSums {
  std::uint64_t requests = 0;
  std::uint64_t cut = 0;  ///< of the requests: those that did not end by themselves
  std::uint64_t prompt_tokens = 0;
  std::uint64_t cached_tokens = 0;  ///< of the prompts
  std::uint64_t completion_tokens = 0;
  std::uint64_t cost = 0;  ///< in 10^-9 of the currency

  bool operator==(const UsageSums&) const = default;
  UsageSums& operator+=(const UsageSums& other);
};

/// What a record adds to the sums.
UsageSums sums_of(const UsageRecord& record);

/// An hour of UTC.
using Hour = std::chrono::sys_time<std::chrono::hours>;

/// What to ask of UsageTotals or UsageIndex: one row for each combination of the names that are `by_…`, over
/// the days `from` … `to`, both included.
struct UsageQuery {
  bool by_day = false, by_key = false, by_tenant = false, by_model = false;
  Day from = Day::min();
  Day to = Day::max();
  bool by_hour = false;
  std::optional<std::string> key = std::nullopt, tenant = std::nullopt,
                             model = std::nullopt;  ///< only theirs

  bool asks_for(std::string_view a_key, std::string_view a_tenant, std::string_view a_model) const {
    return (!key || *key == a_key) && (!tenant || *tenant == a_tenant) && (!model || *model == a_model);
  }
};

/// Names that the query is not by are empty.
struct UsageRow {
  Day day{};
  std::string key, tenant, model;
  UsageSums sums;
  Hour hour{};

  bool operator==(const UsageRow&) const = default;
};

}  // namespace autoglm::gateway
