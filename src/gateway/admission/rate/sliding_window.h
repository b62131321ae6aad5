#pragma once

#include "gateway/admission/rate/rate_state.h"
#include "gateway/admission/rate/wide.h"

#include <array>
#include <memory>
#include <optional>

namespace autoglm::gateway {

/// A sliding window of 15 sub-windows and the one that is being filled. All of a sub-window counts until its
/// last nanosecond is `period` old, so that no span of `period` ever sees more than `amount`; the price is
/// that a take may count for up to a fifteenth longer.
///
/// A take's position is the window's own time, in nanoseconds since it began at `start`: a window knows of no
/// clock that could step. Pure and not thread-safe. RateLimiter calls `advance` with the time since the last
/// call before anything else.
class SlidingWindow {
 public:
  static constexpr std::uint64_t kSpan = 15;  ///< sub-windows in a period

  /// `start`: above the positions of any window whose reservations could come here by mistake.
  explicit SlidingWindow(Wide start) : slots_(std::make_unique<Slots>()), now_(start) {}

  void advance(const RateSpec& spec, std::uint64_t nanoseconds);
  /// Counts `amount`: no take waits for a turn. Nothing when it has no room.
  std::optional<Duration> take(const RateSpec& spec, std::uint64_t amount);
  /// When `amount` has room, in nanoseconds from now, if nothing else happens.
  Wide room_in(const RateSpec& spec, std::uint64_t amount) const;
  /// Gives `unused` of the `amount` back to the sub-window of `position`, if it still counts.
  void give_back(const RateSpec& spec, Wide position, std::uint64_t amount, std::uint64_t unused);
  /// Counts without asking for room.
  void charge(const RateSpec& spec, std::uint64_t amount);
  /// What counts goes on to count, each part from the latest moment at which it may have been taken.
  void change(const RateSpec& from, const RateSpec& to);

  Wide position() const { return now_; }
  bool is_unused() const { return sum() == 0; }
  std::uint64_t used(const RateSpec& spec) const;
  RateState state(const RateSpec& spec) const;
  void save(const RateSpec& spec, SavedRate& saved) const;
  void restore(const RateSpec& spec, const SavedRate& saved);

 private:
  using Counts = std::array<std::uint64_t, kSpan + 1>;
  struct Slots {
    Counts counts{};
    std::uint64_t head = 0;  // of the newest sub-window; its slot is the remainder by 16
    std::uint64_t into = 0;  // nanoseconds since it began
  };

  /// The count of the sub-window that is `back` older than the one being filled.
  std::uint64_t& count(std::uint64_t back) const {
    return slots_->counts[(slots_->head - back) % (kSpan + 1)];
  }
  Wide sum() const;
  std::uint64_t leaves_in(const RateSpec& spec, std::uint64_t back) const;

  std::unique_ptr<Slots> slots_;  // on the heap, because a bucket needs a fifth of it
  Wide now_;
};

}  // namespace autoglm::gateway
