#pragma once

#include "base/function_ref.h"
#include "gateway/admission/limits/limit_check.h"
#include "gateway/admission/limits/saved_limits.h"
#include "gateway/admission/usage/usage_record.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace autoglm::gateway {

/// What is used of all limits of `check` that are rates, without the subjects that mean nothing to another
/// process. Takes some milliseconds for each 10,000 subjects; any thread, none that serves.
SavedLimits save_limits(const LimitCheck& check, WallTime wall, MonotonicTime now);

/// Brings back what an earlier process has used of the limits: what it has saved, and on top of it the usage
/// of the calls that ended afterwards, from their records, each at the time of its record. The limiters run
/// in the calendar's time meanwhile; where it steps back, no time has passed.
///
/// A saved state holds what the calls that ran then had reserved; the record of such a call is charged on
/// top. So too much is charged rather than too little. Pure; not thread-safe.
class LimitRecovery {
 public:
  /// The limits that the key names; null: the key is unknown.
  using LimitsOf = std::function<const std::vector<std::string>*(std::string_view key)>;

  /// For the limits that `check` has; it outlives this.
  LimitRecovery(LimitCheck& check, LimitsOf limits_of);

  /// First, if anything was saved.
  void load(const SavedLimits& saved);
  /// A call that ended after that. A key that is unknown by now had all limits.
  void charge(const UsageRecord& record);
  /// Hands all to the check, as it is at `wall`, which is `now`. Once. Returns how many subjects there are.
  std::uint64_t finish(WallTime wall, MonotonicTime now);

 private:
  struct Limit {
    LimitConfig config;
    RateTable* target;
    std::unique_ptr<RateTable> rates;  // in the calendar's time

    bool holds_for(const UsageRecord& record, const std::vector<std::string>* named) const;
    /// Null: the limit has no such subject.
    const std::string* subject_of(const UsageRecord& record) const;
  };

  const LimitsOf limits_of_;
  std::vector<Limit> limits_;
};

}  // namespace autoglm::gateway
