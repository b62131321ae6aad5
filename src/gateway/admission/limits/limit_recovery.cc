#include "gateway/admission/limits/limit_recovery.h"

#include <algorithm>
#include <utility>

namespace autoglm::gateway {

namespace {

const std::string kTheOne;

/// A limiter asks for a clock that has begun at 0 and does not stand for a moment.
MonotonicTime as_monotonic(WallTime wall) {
  return MonotonicTime(
      std::max(std::chrono::duration_cast<Duration>(wall.time_since_epoch()), Duration::zero()));
}

}  // namespace

SavedLimits save_limits(const LimitCheck& check, WallTime wall, MonotonicTime now) {
  SavedLimits saved{.time = std::chrono::floor<std::chrono::milliseconds>(wall), .limits = {}};
  check.for_each_rate([&](const LimitConfig& config, const RateSpec&, RateTable& rates) {
    SavedLimit& limit = saved.limits.emplace_back(
        SavedLimit{.name = config.name, .per = config.per, .counts_tokens = config.counts_tokens()});
    rates.for_each_saved(now, [&](const std::string& subject, const SavedRate& rate) {
      if (subject.starts_with(LimitCheck::kUnvouched) || subject.size() > SavedLimits::kLongestName) return;
      limit.subjects.emplace_back(subject, rate);
    });
  });
  return saved;
}

LimitRecovery::LimitRecovery(LimitCheck& check, LimitsOf limits_of) : limits_of_(std::move(limits_of)) {
  check.for_each_rate([&](const LimitConfig& config, const RateSpec& spec, RateTable& rates) {
    limits_.push_back(
        {config, &rates, std::make_unique<RateTable>(spec, LimitCheck::kMostSubjects, MonotonicTime())});
  });
}

void LimitRecovery::load(const SavedLimits& saved) {
  const MonotonicTime then = as_monotonic(saved.time);
  for (const SavedLimit& from : saved.limits) {
    const auto limit = std::ranges::find_if(limits_, [&](const Limit& each) {
      return each.config.name == from.name && each.config.per == from.per &&
             each.config.counts_tokens() == from.counts_tokens;
    });
    if (limit == limits_.end()) continue;
    for (const auto& [subject, rate] : from.subjects)
      limit->rates->restore(subject, rate, Duration::zero(), then);
  }
}

void LimitRecovery::charge(const UsageRecord& record) {
  const MonotonicTime then = as_monotonic(record.time);
  const std::vector<std::string>* const named = record.key.empty() ? nullptr : limits_of_(record.key);
  const std::uint64_t tokens = std::uint64_t{record.prompt_tokens} + record.completion_tokens;
  for (const Limit& limit : limits_) {
    if (!limit.holds_for(record, named)) continue;
    if (const std::string* subject = limit.subject_of(record))
      limit.rates->settle(*subject, {}, limit.config.counts_tokens() ? tokens : 1, then);
  }
}

std::uint64_t LimitRecovery::finish(WallTime wall, MonotonicTime now) {
  std::uint64_t subjects = 0;
  for (const Limit& limit : limits_) {
    limit.rates->for_each_saved(as_monotonic(wall), [&](const std::string& subject, const SavedRate& rate) {
      if (limit.target->restore(subject, rate, Duration::zero(), now)) ++subjects;
    });
  }
  return subjects;
}

bool LimitRecovery::Limit::holds_for(const UsageRecord& record, const std::vector<std::string>* named) const {
  const bool of_callers =
      config.per == LimitScope::kKey || config.per == LimitScope::kTenant || config.per == LimitScope::kGroup;
  if (record.key.empty() || !of_callers || named == nullptr || named->empty()) return true;
  return std::ranges::find(*named, config.name) != named->end();
}

const std::string* LimitRecovery::Limit::subject_of(const UsageRecord& record) const {
  switch (config.per) {
    case LimitScope::kKey:
      return record.key.empty() ? nullptr : &record.key;
    case LimitScope::kTenant:
      return record.tenant.empty() ? nullptr : &record.tenant;
    case LimitScope::kGroup:
      return &record.group;
    case LimitScope::kModel:
      return record.asked.empty() ? &record.model : &record.asked;
    case LimitScope::kGlobal:
      return &kTheOne;
  }
  return nullptr;
}

}  // namespace autoglm::gateway
