#pragma once

#include "gateway/resilience/circuit_breaker.h"

#include <cstdint>
#include <deque>
#include <optional>

namespace autoglm::gateway {

/// A second, simple implementation of the circuit breaker: it keeps every outcome with its time, and counts
/// all of them anew at the end of each bucket. The simulation gives it the same events as the breaker, and
/// compares.
class BreakerModel {
 public:
  /// One request, from its admission to its end.
  struct Attempt {
    bool probe = false;
    std::optional<MonotonicTime> succeeded = {};
  };

  explicit BreakerModel(const BreakerConfig& config) : config_(config) {}

  bool admits(MonotonicTime now);
  bool is_open() const { return state_ == State::kOpen; }
  /// Begins an attempt where it `admits`; where it is open, when no other endpoint can be asked.
  Attempt begins(MonotonicTime now);
  void succeeds(Attempt& attempt, MonotonicTime now);
  void fails(const Attempt& attempt, MonotonicTime now);
  /// The attempt ends as neither.
  void leaves(const Attempt& attempt);
  /// A check has succeeded again.
  void comes_back(MonotonicTime now);

 private:
  using State = CircuitBreaker::State;
  struct Outcome {
    MonotonicTime at;
    bool failed;
  };
  static constexpr std::int64_t kBuckets = 20;

  std::int64_t bucket_of(MonotonicTime time) const { return time.time_since_epoch() / length_; }
  void decide(MonotonicTime now);
  bool has_enough_errors(std::int64_t bucket) const;
  void open(MonotonicTime at);

  BreakerConfig config_;
  Duration length_ = config_.window / kBuckets;
  State state_ = State::kClosed;
  MonotonicTime opened_;
  bool expected_ = false;           // the endpoint was seen to be back since the breaker opened
  std::deque<Outcome> outcomes_;    // of the last buckets, in order
  std::int64_t counts_from_ = 0;    // the first bucket that counts
  std::int64_t decided_until_ = 0;  // the last bucket at whose beginning it decided
};

}  // namespace autoglm::gateway
