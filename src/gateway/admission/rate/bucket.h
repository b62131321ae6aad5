#pragma once

#include "gateway/admission/rate/rate_state.h"
#include "gateway/admission/rate/wide.h"

#include <optional>

namespace autoglm::gateway {

/// A token bucket or a leaky bucket, seen from its other side: `debt` is what was taken and has not drained
/// yet. The unit is 1/period of a token, of which `amount` drain per nanosecond, so that nothing is ever
/// rounded.
///
/// What a reservation did not use is given back only as far as it has not drained. The oldest charges drain
/// first, and a charge's place in that order is its position: the tokens charged before it. Without this, a
/// client that holds many reservations could give each back after it had drained, fill the bucket again and
/// again at one moment, and settle any amount in no time. With it, the debt is at no moment less than that of
/// a bucket from which only the used tokens were ever taken.
///
/// Pure and not thread-safe. RateLimiter calls `advance` with the time since the last call before anything
/// else.
class Bucket {
 public:
  /// `start`: the first charge's position, above those of any bucket whose reservations could come here by
  /// mistake.
  explicit Bucket(Wide start) : position_(start) {}

  void advance(const RateSpec& spec, std::uint64_t nanoseconds);
  /// Charges `amount` and returns how long the take has to wait for its turn; nothing when it has no room.
  std::optional<Duration> take(const RateSpec& spec, std::uint64_t amount);
  /// When `amount` has room, in nanoseconds from now, if nothing else happens.
  Wide room_in(const RateSpec& spec, std::uint64_t amount) const;
  /// Gives back `unused` of the `amount` that was charged at `position`, as far as they have not drained. A
  /// leaky bucket gives nothing back while others wait behind the reservation: they have been told their
  /// turns.
  void give_back(const RateSpec& spec, Wide position, std::uint64_t amount, std::uint64_t unused);
  /// Charges without asking for room.
  void charge(const RateSpec& spec, std::uint64_t amount);
  /// The debt goes on as so many tokens, and drains at the new rate.
  void change(const RateSpec& from, const RateSpec& to);

  Wide position() const { return position_; }
  bool is_unused() const { return debt_ == 0; }
  /// In tokens, rounded up.
  std::uint64_t used(const RateSpec& spec) const;
  RateState state(const RateSpec& spec) const;
  void save(const RateSpec& spec, SavedRate& saved) const;
  void restore(const RateSpec& spec, const SavedRate& saved);

 private:
  Wide debt_ = 0;
  Wide position_;
};

}  // namespace autoglm::gateway
