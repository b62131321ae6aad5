#include "breaker_model.h"

#include <algorithm>

namespace autoglm::gateway {

bool BreakerModel::has_enough_errors(std::int64_t bucket) const {
  std::uint64_t total = 0;
  std::uint64_t errors = 0;
  for (const Outcome& outcome : outcomes_) {
    const std::int64_t own = bucket_of(outcome.at);
    if (own < counts_from_ || own < bucket - kBuckets || own >= bucket) continue;
    ++total;
    errors += outcome.failed ? 1 : 0;
  }
  return total > 0 && total >= config_.request_volume && 100 * errors / total >= config_.error_percent;
}

/// Decides at the beginning of each bucket since the last call, by the whole buckets before it.
void BreakerModel::decide(MonotonicTime now) {
  const std::int64_t bucket = bucket_of(now);
  if (bucket == decided_until_) return;
  for (std::int64_t b = std::max(decided_until_ + 1, bucket - kBuckets); b <= bucket; ++b)
    if (state_ == State::kClosed && has_enough_errors(b)) open(MonotonicTime(b * length_));
  decided_until_ = bucket;
  while (!outcomes_.empty() && bucket_of(outcomes_.front().at) < bucket - kBuckets) outcomes_.pop_front();
}

void BreakerModel::open(MonotonicTime at) {
  state_ = State::kOpen;
  opened_ = at;
  expected_ = false;
}

bool BreakerModel::admits(MonotonicTime now) {
  decide(now);
  if (state_ != State::kOpen) return state_ == State::kClosed;
  return expected_ || now > opened_ + config_.sleep_window;
}

BreakerModel::Attempt BreakerModel::begins(MonotonicTime now) {
  decide(now);
  if (state_ == State::kClosed) return {};
  state_ = State::kHalfOpen;
  return {.probe = true};
}

void BreakerModel::succeeds(Attempt& attempt, MonotonicTime now) {
  decide(now);
  attempt.succeeded = now;
  if (attempt.probe) {
    state_ = State::kClosed;
    counts_from_ = bucket_of(now) + 1;
  } else {
    outcomes_.push_back({.at = now, .failed = false});
  }
}

void BreakerModel::fails(const Attempt& attempt, MonotonicTime now) {
  decide(now);
  const bool lasting = attempt.succeeded && now - *attempt.succeeded > config_.window;
  if (attempt.probe && !lasting) {
    // The success that closed it was taken back; where it is open again, nothing needs doing.
    if (!attempt.succeeded || state_ == State::kClosed) open(now);
    return;
  }
  if (attempt.succeeded && !attempt.probe) {
    const auto success = std::ranges::find_if(
        outcomes_, [&](const Outcome& each) { return each.at == *attempt.succeeded && !each.failed; });
    if (success != outcomes_.end()) outcomes_.erase(success);
  }
  outcomes_.push_back({.at = now, .failed = true});
}

void BreakerModel::leaves(const Attempt& attempt) {
  if (attempt.probe) state_ = State::kOpen;
}

/// Opening again overrides this.
void BreakerModel::comes_back(MonotonicTime now) {
  decide(now);
  expected_ = state_ != State::kClosed;
}

}  // namespace autoglm::gateway
