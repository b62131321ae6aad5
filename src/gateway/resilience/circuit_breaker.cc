#include "gateway/resilience/circuit_breaker.h"

#include <algorithm>

namespace autoglm::gateway {

namespace {
constexpr std::uint64_t kCountMask = (1ULL << 16U) - 1;
}  // namespace

void CircuitBreaker::Attempt::success(MonotonicTime now) {
  CircuitBreaker* breaker = std::exchange(breaker_, nullptr);
  if (breaker == nullptr) return;
  if (probe_) {
    breaker->counts_from_.store(breaker->bucket_at(now) + 1);
    breaker->state_.store(State::kClosed, std::memory_order_release);
  } else {
    breaker->count(false, now);
  }
}

void CircuitBreaker::Attempt::failure(MonotonicTime now) {
  CircuitBreaker* breaker = std::exchange(breaker_, nullptr);
  if (breaker == nullptr) return;
  if (probe_) {
    breaker->opened_.store(now.time_since_epoch().count());
    breaker->state_.store(State::kOpen, std::memory_order_release);
  } else {
    breaker->count(true, now);
  }
}

void CircuitBreaker::configure(const BreakerConfig& config) {
  request_volume_.store(config.request_volume, std::memory_order_relaxed);
  error_percent_.store(config.error_percent, std::memory_order_relaxed);
  sleep_window_.store(config.sleep_window.count(), std::memory_order_relaxed);
  const Duration::rep length =
      std::max<Duration::rep>(config.window.count() / static_cast<Duration::rep>(kBuckets), 1);
  if (bucket_length_.exchange(length) == length) return;
  for (auto& bucket : buckets_) bucket.store(0);  // numbered by the old length
  counts_from_.store(0);
  evaluated_.store(0);
}

std::uint64_t CircuitBreaker::bucket_at(MonotonicTime now) const {
  // From 1 on, so that an empty word is no bucket.
  return static_cast<std::uint64_t>(now.time_since_epoch().count() /
                                    bucket_length_.load(std::memory_order_relaxed)) +
         1;
}

void CircuitBreaker::count(bool failed, MonotonicTime now) {
  const std::uint64_t bucket = bucket_at(now);
  std::atomic<std::uint64_t>& slot = buckets_[bucket % kSlots];
  std::uint64_t seen = slot.load(std::memory_order_relaxed);
  std::uint64_t next = 0;
  do {
    const bool same = seen >> 32U == bucket;
    const std::uint64_t total = same ? (seen >> 16U) & kCountMask : 0;
    const std::uint64_t errors = same ? seen & kCountMask : 0;
    if (total == kCountMask) return;  // so many in a bucket say enough
    next = pack(bucket, total + 1, errors + (failed ? 1 : 0));
  } while (!slot.compare_exchange_weak(seen, next, std::memory_order_relaxed));
  evaluate(now);
}

/// Decides at the beginning of `bucket` by the whole ones before it.
bool CircuitBreaker::should_open(std::uint64_t bucket) const {
  const std::uint64_t from = counts_from_.load();
  std::uint64_t total = 0;
  std::uint64_t errors = 0;
  for (const auto& slot : buckets_) {
    const std::uint64_t word = slot.load(std::memory_order_relaxed);
    const std::uint64_t number = word >> 32U;
    if (number < from || number >= bucket || number + kBuckets < bucket) continue;
    total += (word >> 16U) & kCountMask;
    errors += word & kCountMask;
  }
  return total >= request_volume_.load(std::memory_order_relaxed) && total > 0 &&
         100 * errors / total >= error_percent_.load(std::memory_order_relaxed);
}

/// Hystrix decides by a timer at every bucket's end; here whoever comes next makes up for the ends that have
/// passed.
void CircuitBreaker::evaluate(MonotonicTime now) {
  const std::uint64_t bucket = bucket_at(now);
  if (evaluated_.load(std::memory_order_relaxed) == bucket)
    return;  // as nearly always: no write that loops share
  const std::uint64_t last = evaluated_.exchange(bucket);
  if (last == bucket || state() != State::kClosed) return;
  const std::uint64_t first = std::max(last + 1, bucket - std::min(bucket, kBuckets));
  for (std::uint64_t b = first; b <= bucket; ++b) {
    if (!should_open(b)) continue;
    opened_.store(bucket_length_.load() * static_cast<Duration::rep>(b - 1));
    State closed = State::kClosed;
    state_.compare_exchange_strong(closed, State::kOpen, std::memory_order_release);
    return;
  }
}

Duration CircuitBreaker::until_probe(MonotonicTime now) const {
  if (state() == State::kClosed) return Duration::zero();
  const MonotonicTime opened{Duration(opened_.load())};
  return std::max(opened + sleep_window() - now, Duration::zero());
}

bool CircuitBreaker::admits(MonotonicTime now) {
  evaluate(now);
  const State seen = state();
  if (seen == State::kClosed) return true;
  return seen == State::kOpen && now > MonotonicTime{Duration(opened_.load())} + sleep_window();
}

std::optional<CircuitBreaker::Attempt> CircuitBreaker::try_acquire(MonotonicTime now) {
  if (!admits(now)) return std::nullopt;
  if (state() == State::kClosed) return Attempt(*this, false);
  State open = State::kOpen;
  if (!state_.compare_exchange_strong(open, State::kHalfOpen, std::memory_order_acq_rel)) return std::nullopt;
  return Attempt(*this, true);
}

/// The next who comes may be the probe instead.
void CircuitBreaker::neutral(bool probe) {
  if (probe) state_.store(State::kOpen, std::memory_order_release);
}

}  // namespace autoglm::gateway
