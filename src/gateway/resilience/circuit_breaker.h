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
/// decides: success closes it and forgets all counts, failure opens it anew, also one that takes a success
/// back within `window`. An attempt that ends as neither (a client that left, a 4xx, a 429) counts as
/// nothing, and frees the probe's place. Lock-free; shared by
/// all loops. Time is handed in.
class CircuitBreaker {
 public:
  enum class State : std::uint8_t { kClosed, kOpen, kHalfOpen };

  /// Permission for one request. Its end, on every path, tells the breaker what came of it.
  class Attempt {
   public:
    Attempt(CircuitBreaker& breaker, bool probe) : breaker_(&breaker), probe_(probe) {}
    Attempt(Attempt&& other) noexcept
        : breaker_(std::exchange(other.breaker_, nullptr)),
          probe_(other.probe_),
          succeeded_(other.succeeded_),
          at_(other.at_) {}
    Attempt& operator=(Attempt&& other) noexcept {
      std::swap(breaker_, other.breaker_);
      std::swap(probe_, other.probe_);
      std::swap(succeeded_, other.succeeded_);
      std::swap(at_, other.at_);
      return *this;
    }
    ~Attempt() {
      if (breaker_ != nullptr && !succeeded_) breaker_->neutral(probe_);
    }
    /// The first token came: whoever waits for the end of a stream would learn of a death from many, and of
    /// life from none. Counts until a `failure()` takes it back.
    void success(MonotonicTime now);
    /// It failed; behind its first token, the stream broke: one failure in the place of that success.
    void failure(MonotonicTime now);

   private:
    CircuitBreaker* breaker_;
    bool probe_;
    bool succeeded_ = false;
    MonotonicTime at_;  // when it succeeded
  };

  explicit CircuitBreaker(const BreakerConfig& config) { configure(config); }

  /// Takes effect from the next request on; another `window` begins to count anew.
  void configure(const BreakerConfig& config);

  /// Nothing: the endpoint is to be left alone.
  std::optional<Attempt> try_acquire(MonotonicTime now);
  /// The probe, however short a time it has been open: for when there is nobody else to ask.
  std::optional<Attempt> try_probe();
  /// Somebody else has seen that it is back: the next who asks is the probe.
  void expect_return(MonotonicTime now);
  /// Whether `try_acquire` would admit somebody; takes no probe.
  bool admits(MonotonicTime now);
  State state() const { return state_.load(std::memory_order_acquire); }
  /// Until the next probe; zero when closed.
  Duration until_probe(MonotonicTime now) const;

 private:
  static constexpr std::uint64_t kBuckets = 20;
  static constexpr std::uint64_t kSlots = 32;  // more than kBuckets, a power of two

  /// What one word says, so that it changes together: requests and errors (16 bits each) of a bucket, and its
  /// number. Of that the slot says the lowest 5 bits, the word the next 32, and who reads it the rest: a
  /// bucket is a millisecond at least, so what looks like one of the last few was touched last then, or
  /// years ago to the millisecond.
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
  std::atomic<std::uint64_t> evaluated_{0};    // the last bucket at whose beginning it was decided
  std::array<std::atomic<std::uint64_t>, kSlots> buckets_{};
};

}  // namespace autoglm::gateway
