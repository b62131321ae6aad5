#pragma once

#include "base/clock.h"

#include <array>
#include <atomic>
#include <cstdint>
#include <optional>
#include <utility>

namespace autoglm::gateway {

/// When an endpoint's breaker opens, and for how long. Hystrix's parameters.
struct BreakerConfig {
  bool operator==(const BreakerConfig&) const = default;

  Duration window = std::chrono::seconds(10);
  std::uint32_t request_volume = 20;  ///< requests in the window, below which it stays closed
  std::uint32_t error_percent = 50;   ///< of failures, from which on it opens
  Duration sleep_window = std::chrono::seconds(5);
};

/// Hystrix's circuit breaker. Closed, it counts in buckets of a 20th of the window, and at the end of each
/// bucket opens if the last 20 whole buckets had `request_volume` requests and `error_percent` (truncated) of
/// them failed. Open, it admits no request; after more than `sleep_window` one attempt, the probe, decides:
/// success closes it and clears all counts, failure opens it anew, also a failure that takes a success back
/// within `window`. An attempt that ends as neither (a client that left, a 4xx, a 429) is not counted; if it
/// was the probe, the next request may be. Lock-free; shared by all loops. Takes the time as an argument.
class CircuitBreaker {
 public:
  enum class State : std::uint8_t { kClosed, kOpen, kHalfOpen };

  /// Permission for one request. Its end, on every path, tells the breaker what came of it.
  class Permission {
   public:
    Permission(CircuitBreaker& breaker, bool probe) : breaker_(&breaker), probe_(probe) {}
    Permission(Permission&& other) noexcept
        : breaker_(std::exchange(other.breaker_, nullptr)),
          probe_(other.probe_),
          succeeded_(other.succeeded_),
          at_(other.at_) {}
    Permission& operator=(Permission&& other) noexcept {
      std::swap(breaker_, other.breaker_);
      std::swap(probe_, other.probe_);
      std::swap(succeeded_, other.succeeded_);
      std::swap(at_, other.at_);
      return *this;
    }
    ~Permission() {
      if (breaker_ != nullptr && !succeeded_) breaker_->neutral(probe_);
    }
    /// The first token arrived. Not counted at the stream's end: a server's death ends many streams at once,
    /// while those that are well go on. Counts until a `failure()` takes it back.
    void success(MonotonicTime now);
    /// The attempt failed. After a `success()`, when the stream breaks, it is one failure in place of that
    /// success.
    void failure(MonotonicTime now);

   private:
    CircuitBreaker* breaker_;
    bool probe_;
    bool succeeded_ = false;
    MonotonicTime at_;  // when it succeeded
  };

  explicit CircuitBreaker(const BreakerConfig& config) { configure(config); }

  /// Takes effect from the next request on; a changed `window` clears the counts.
  void configure(const BreakerConfig& config);

  /// Nothing: the endpoint must not be asked.
  std::optional<Permission> try_acquire(MonotonicTime now);
  /// The probe, however recently the breaker opened: for when no other endpoint can be asked.
  std::optional<Permission> try_probe();
  /// A health check has seen that the endpoint is back: the next request is the probe.
  void expect_return(MonotonicTime now);
  /// Whether `try_acquire` would admit a request; takes no probe.
  bool admits(MonotonicTime now);
  State state() const { return state_.load(std::memory_order_acquire); }
  /// Until the next probe; zero when closed.
  Duration until_probe(MonotonicTime now) const;

 private:
  static constexpr std::uint64_t kBuckets = 20;
  static constexpr std::uint64_t kSlots = 32;  // more than kBuckets, a power of two

  /// A bucket in one word, so that it changes atomically: requests and errors (16 bits each), and the
  /// bucket's number. The slot gives the number's lowest 5 bits, the word the next 32, and the reader's clock
  /// the rest: a bucket lasts a millisecond at least, so a word that seems recent is recent, or older by a
  /// multiple of 2^37 buckets, which is years.
  struct Bucket {
    std::uint64_t number = 0;
    std::uint64_t total = 0;
    std::uint64_t errors = 0;
  };
  static std::uint64_t pack(const Bucket& bucket) {
    return ((bucket.number / kSlots) << 32U) | (bucket.total << 16U) | bucket.errors;
  }
  static Bucket unpack(std::uint64_t word, std::uint64_t slot, std::uint64_t now);
  std::uint64_t bucket_at(MonotonicTime now) const;
  void count(bool failed, MonotonicTime now);
  void take_back_success(MonotonicTime at, MonotonicTime now);
  void open(MonotonicTime now);
  void reopen(MonotonicTime now);
  void evaluate(MonotonicTime now);
  bool should_open(std::uint64_t bucket) const;
  void neutral(bool probe);

  Duration window() const { return Duration(bucket_length_.load(std::memory_order_relaxed)) * kBuckets; }
  Duration sleep_window() const { return Duration(sleep_window_.load(std::memory_order_relaxed)); }

  std::atomic<std::uint32_t> request_volume_{0};
  std::atomic<std::uint32_t> error_percent_{0};
  std::atomic<Duration::rep> sleep_window_{0};
  std::atomic<Duration::rep> bucket_length_{0};
  std::atomic<State> state_{State::kClosed};
  std::atomic<Duration::rep> opened_{0};
  std::atomic<std::uint64_t> counts_from_{0};  // the bucket before which nothing counts
  std::atomic<std::uint64_t> evaluated_{0};    // the last bucket at whose beginning the breaker decided
  std::array<std::atomic<std::uint64_t>, kSlots> buckets_{};
};

}  // namespace autoglm::gateway
