#pragma once

#include "gateway/admission/rate/bucket.h"
#include "gateway/admission/rate/sliding_window.h"
#include "gateway/admission/verdict.h"

#include <variant>

namespace autoglm::gateway {

/// What an admitted take may later settle. Hand it back to the limiter that gave it, at most once.
struct Reservation {
  Wide position = 0;  ///< the limiter's own note of when it was taken
  std::uint64_t amount = 0;
  bool shared = false;  ///< taken from RateTable's overflow limiter
};

/// The answer to a take.
struct RateDecision {
  Verdict verdict = Verdict::kAdmitted;
  Duration delay{};  ///< admitted by a leaky bucket: how long to wait for its turn
  Duration
      retry_after{};  ///< kLater: when the same take succeeds, to the nanosecond, if nothing else happens
  RateState state;    ///< after the take
  Reservation reservation;
};

/// One limit's state for one subject. All arithmetic is exact, in integers; a sliding window counts a take
/// for up to a fifteenth of its period longer than it must. 64 bytes, and 144 on the heap for a sliding
/// window.
///
/// A bucket whose takes are settled keeps: used units of the takes in any time T <= burst + amount * T /
/// period. What was used beyond its reservation is charged when it is settled, and later takes wait it out.
///
/// `now` may stand still, and step back by up to kClockStep (threads that read the clock race for the lock):
/// time then begins to pass again at the latest moment seen. When it is further back, the clock itself was
/// set, and no time has passed. Pure; not thread-safe. `spec` is valid (see `validate`) and outlives the
/// limiter.
class RateLimiter {
 public:
  static constexpr Duration kClockStep = std::chrono::minutes(1);

  RateLimiter(const RateSpec& spec, MonotonicTime now);
  /// As saved `elapsed` ago, by the wall clock; negative: it was set back, and counts as no time. The limit
  /// may have changed since. Of a state that no limiter can have saved, nothing is restored.
  RateLimiter(const RateSpec& spec, const SavedRate& saved, Duration elapsed, MonotonicTime now);

  /// kNever: more than may be taken at once. An amount of 0 is refused only while what was used beyond
  /// reservations has not drained.
  RateDecision take(std::uint64_t amount, MonotonicTime now);
  /// Gives back what was reserved and not used, or charges what was used beyond the reservation. A sliding
  /// window gives back to the sub-window of the take; see Bucket::give_back for the others. A reservation
  /// that is not this limiter's gives nothing back.
  void settle(const Reservation& reservation, std::uint64_t used, MonotonicTime now);
  /// The state without a take. Time passes for the limiter.
  RateState state(MonotonicTime now);
  /// The limit changes, the units that were used stay used: a bucket's debt goes on as so many tokens and
  /// drains at the new rate; between a bucket and a sliding window, all of it counts as taken now, and
  /// reservations from before give nothing back.
  void change(const RateSpec& spec, MonotonicTime now);
  /// It is as if it had never been used, and may be forgotten.
  bool is_fresh(MonotonicTime now);
  SavedRate save(MonotonicTime now);

 private:
  using Counting = std::variant<Bucket, SlidingWindow>;

  void advance(MonotonicTime now);
  RateState state_from(MonotonicTime now) const;
  /// `nanoseconds` after the latest moment seen, from `now`, which may lie before it; 0 stays 0.
  Duration from(MonotonicTime now, Wide nanoseconds) const;

  const RateSpec* spec_;
  MonotonicTime at_;
  Counting counting_;
};

}  // namespace autoglm::gateway
