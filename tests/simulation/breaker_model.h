#pragma once

#include "gateway/resilience/circuit_breaker.h"

#include <cstdint>
#include <deque>
#include <optional>

namespace autoglm::gateway {

/// What the circuit breaker promises, written once more and simply: every outcome is remembered with its
/// time, and all are counted anew at the end of each bucket. The simulation tells it what it tells the
/// breaker, and compares.
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
  /// Where it `admits`; where it is open, for want of anybody else.
  Attempt begins(MonotonicTime now);
  void succeeds(Attempt& attempt, MonotonicTime now);
  void fails(const Attempt& attempt, MonotonicTime now);
  /// It ends as neither.
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
  bool expected_ = false;           // back, since it opened
  std::deque<Outcome> outcomes_;    // of the last buckets, in their order
  std::int64_t counts_from_ = 0;    // the first bucket that does
  std::int64_t decided_until_ = 0;  // the last bucket at whose beginning it was decided
};

}  // namespace autoglm::gateway
