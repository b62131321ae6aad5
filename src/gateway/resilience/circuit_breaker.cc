#include "gateway/resilience/circuit_breaker.h"

#include <algorithm>

namespace autoglm::gateway {

namespace {
constexpr std::uint64_t kCountMask = (1ULL << 16U) - 1;
}  // namespace

void CircuitBreaker::Permission::success(MonotonicTime now) {
  if (breaker_ == nullptr || std::exchange(succeeded_, true)) return;
  at_ = now;
  if (probe_) {
    breaker_->counts_from_.store(breaker_->bucket_at(now) + 1);
    breaker_->state_.store(State::kClosed, std::memory_order_release);
  } else {
    breaker_->count(false, now);
  }
}

void CircuitBreaker::Permission::failure(MonotonicTime now) {
  CircuitBreaker* breaker = std::exchange(breaker_, nullptr);
  if (breaker == nullptr) return;
  const bool proven = succeeded_ && now - at_ > breaker->window();
  if (probe_ && !proven) {
    succeeded_ ? breaker->reopen(now) : breaker->open(now);
    return;
  }
  if (succeeded_ && !probe_) breaker->take_back_success(at_, now);
  breaker->count(true, now);
}

void CircuitBreaker::open(MonotonicTime now) {
  opened_.store(now.time_since_epoch().count());
  state_.store(State::kOpen, std::memory_order_release);
}

/// The success that closed the breaker was taken back.
void CircuitBreaker::reopen(MonotonicTime now) {
  if (state() == State::kClosed) open(now);
}

void CircuitBreaker::configure(const BreakerConfig& config) {
  request_volume_.store(config.request_volume, std::memory_order_relaxed);
  error_percent_.store(config.error_percent, std::memory_order_relaxed);
  sleep_window_.store(config.sleep_window.count(), std::memory_order_relaxed);
  const Duration::rep length =
      std::max<Duration::rep>(config.window.count() / static_cast<Duration::rep>(kBuckets), 1);
  if (bucket_length_.exchange(length) == length) return;
  for (auto& bucket : buckets_) bucket.store(0);  // they are numbered by the old length
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
  Bucket next;
  do {
    next = unpack(seen, bucket % kSlots, bucket);
    if (next.number != bucket) next = {.number = bucket};
    if (next.total == kCountMask)
      return;  // the counter is full, and so many requests are enough to decide by
    ++next.total;
    next.errors += failed ? 1 : 0;
  } while (!slot.compare_exchange_weak(seen, pack(next), std::memory_order_relaxed));
  evaluate(now);
}

/// Only while its bucket still counts.
void CircuitBreaker::take_back_success(MonotonicTime at, MonotonicTime now) {
  const std::uint64_t bucket = bucket_at(at);
  std::atomic<std::uint64_t>& slot = buckets_[bucket % kSlots];
  std::uint64_t seen = slot.load(std::memory_order_relaxed);
  Bucket next;
  do {
    next = unpack(seen, bucket % kSlots, bucket_at(now));
    if (next.number != bucket || next.total == next.errors) return;
    --next.total;
  } while (!slot.compare_exchange_weak(seen, pack(next), std::memory_order_relaxed));
}

CircuitBreaker::Bucket CircuitBreaker::unpack(std::uint64_t word, std::uint64_t slot, std::uint64_t now) {
  // The last bucket of this slot that is not after `now`, and the rounds between it and the word's bucket.
  const std::uint64_t last = now - (now - slot) % kSlots;
  const std::uint64_t rounds = (last / kSlots - (word >> 32U)) & 0xFFFF'FFFFU;
  return {.number = last - rounds * kSlots, .total = (word >> 16U) & kCountMask, .errors = word & kCountMask};
}

/// Decides at the beginning of `bucket` by the whole buckets before it.
bool CircuitBreaker::should_open(std::uint64_t bucket) const {
  const std::uint64_t from = counts_from_.load();
  std::uint64_t total = 0;
  std::uint64_t errors = 0;
  for (std::uint64_t slot = 0; slot < kSlots; ++slot) {
    const Bucket counted = unpack(buckets_[slot].load(std::memory_order_relaxed), slot, bucket);
    if (counted.number < from || counted.number >= bucket || counted.number + kBuckets < bucket) continue;
    total += counted.total;
    errors += counted.errors;
  }
  return total >= request_volume_.load(std::memory_order_relaxed) && total > 0 &&
         100 * errors / total >= error_percent_.load(std::memory_order_relaxed);
}

/// Hystrix decides by a timer at every bucket's end; here the next request makes up for the ends that have
/// passed.
void CircuitBreaker::evaluate(MonotonicTime now) {
  const std::uint64_t bucket = bucket_at(now);
  if (evaluated_.load(std::memory_order_relaxed) == bucket)
    return;  // nearly always: no write to a cache line that loops share
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

std::optional<CircuitBreaker::Permission> CircuitBreaker::try_acquire(MonotonicTime now) {
  if (!admits(now)) return std::nullopt;
  if (state() == State::kClosed) return Permission(*this, false);
  return try_probe();
}

std::optional<CircuitBreaker::Permission> CircuitBreaker::try_probe() {
  State open = State::kOpen;
  if (!state_.compare_exchange_strong(open, State::kHalfOpen, std::memory_order_acq_rel)) return std::nullopt;
  return Permission(*this, true);
}

void CircuitBreaker::expect_return(MonotonicTime now) {
  evaluate(now);  // by the counts so far; else the next request would, and open it anew
  // Also while a probe is under way, which may be abandoned; if it fails, the breaker opens anew.
  if (state() != State::kClosed) opened_.store((now - sleep_window()).time_since_epoch().count() - 1);
}

/// The next request may be the probe instead.
void CircuitBreaker::neutral(bool probe) {
  if (probe) state_.store(State::kOpen, std::memory_order_release);
}

}  // namespace autoglm::gateway
