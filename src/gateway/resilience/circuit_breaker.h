#pragma once

#include "base/clock.h"

#include <array>
#include <atomic>
#include <cstdint>
#include <optional>
#include <utility>

namespace autoglm::gateway {

/// When an endpoint is left alone. Hystrix's parameters.
struct BreakerConfig {
  bool operator==(const BreakerConfig&) const = default;

  Duration window = std::chrono::seconds(10);
  std::uint32_t request_volume = 20;  ///< in the window, below which nothing is decided
  std::uint32_t error_percent = 50;   ///< from which on it opens
  Duration sleep_window = std::chrono::seconds(5);
};

/// Hystrix's circuit breaker. Closed, it counts in buckets of a 20th of the window, and at the end of each
/// bucket opens if in the last 20 whole ones there were `request_volume` requests and `error_percent`
/// (truncated) of them failed. Open, it admits nobody; after more than `sleep_window` one attempt, the probe,
/// decides: success closes it and forgets all counts, failure opens it anew. An attempt that ends as neither
/// (a client that left, a 4xx, a 429) counts as nothing, and frees the probe's place. Lock-free; shared by
/// all loops. Time is handed in.
class CircuitBreaker {
 public:
  enum class State : std::uint8_t { kClosed, kOpen, kHalfOpen };

  /// Permission for one request. Its end, on every path, tells the breaker what came of it.
  class Attempt {
   public:
    Attempt(CircuitBreaker& breaker, bool probe) : breaker_(&breaker), probe_(probe) {}
    Attempt(Attempt&& other) noexcept
        : breaker_(std::exchange(other.breaker_, nullptr)), probe_(other.probe_) {}
    Attempt& operator=(Attempt&& other) noexcept {
      std::swap(breaker_, other.breaker_);
      std::swap(probe_, other.probe_);
      return *this;
    }
    ~Attempt() {
      if (breaker_ != nullptr) breaker_->neutral(probe_);
    }
    /// The first token came. A stream that breaks later is a `failure()` of its own.
    void success(MonotonicTime now);
    void failure(MonotonicTime now);

   private:
    CircuitBreaker* breaker_;
    bool probe_;
  };

  explicit CircuitBreaker(const BreakerConfig& config) { configure(config); }

  /// Takes effect from the next request on; another `window` begins to count anew.
  void configure(const BreakerConfig& config);

  /// Nothing: the endpoint is to be left alone.
  std::optional<Attempt> try_acquire(MonotonicTime now);
  /// Whether `try_acquire` would admit somebody; takes no probe.
  bool admits(MonotonicTime now);
  /// A stream broke behind its first token.
  void count_failure(MonotonicTime now) { count(true, now); }

  State state() const { return state_.load(std::memory_order_acquire); }
  /// Until the next probe; zero when closed.
  Duration until_probe(MonotonicTime now) const;

 private:
  static constexpr std::uint64_t kBuckets = 20;
  static constexpr std::uint64_t kSlots = 32;  // more than kBuckets, a power of two

  /// Bucket number (32 bits), requests and errors (16 each) in one word, so that they change together.
  static std::uint64_t pack(std::uint64_t bucket, std::uint64_t total, std::uint64_t errors) {
    return (bucket << 32U) | (total << 16U) | errors;
  }
  std::uint64_t bucket_at(MonotonicTime now) const;
  void count(bool failed, MonotonicTime now);
  void evaluate(MonotonicTime now);
  bool should_open(std::uint64_t bucket) const;
  void neutral(bool probe);

  Duration sleep_window() const { return Duration(sleep_window_.load(std::memory_order_relaxed)); }

  std::atomic<std::uint32_t> request_volume_{0};
  std::atomic<std::uint32_t> error_percent_{0};
  std::atomic<Duration::rep> sleep_window_{0};
  std::atomic<Duration::rep> bucket_length_{0};
  std::atomic<State> state_{State::kClosed};
  std::atomic<Duration::rep> opened_{0};
  std::atomic<std::uint64_t> counts_from_{0};  // the bucket before which nothing counts
  std::atomic<std::uint64_t> evaluated_{0};    // the last bucket at whose beginning it was decided
  std::array<std::atomic<std::uint64_t>, kSlots> buckets_{};
};

}  // namespace autoglm::gateway
