#pragma once

#include "base/clock.h"
#include "runtime/event_loop.h"

#include <boost/intrusive/list.hpp>
#include <boost/intrusive/set.hpp>

#include <array>
#include <cstdint>

namespace autoglm {

/// The armed timers of one loop. Nearly all timers are deadlines of many seconds that are taken back within
/// milliseconds, so only those of about the next second are in order; later ones lie in a list for each
/// second, where adding one and taking it back cost the same however many there are. Loop thread only.
class TimerQueue {
 public:
  explicit TimerQueue(MonotonicTime now) : horizon_(slot_of(now) + 1), first_far_(horizon_) {}
  TimerQueue(const TimerQueue&) = delete;
  TimerQueue& operator=(const TimerQueue&) = delete;

  void add(Timer& timer) {
    const std::int64_t slot = slot_of(timer.at_);
    if (slot <= horizon_) {
      near_.insert(near_.end(), timer);  // most are later than all others: the hint saves the search
    } else if (slot - horizon_ < kSlots) {
      far_[index_of(slot)].push_back(timer);
      if (slot < first_far_) first_far_ = slot;
    } else {
      later_.push_back(timer);
    }
  }

  /// The time at which `take` may next have a timer, or has to put some in order; `max()`: never.
  MonotonicTime next();

  /// Takes out the earliest timer that is due at `now`, of equal ones that which was added first; null: none.
  Timer* take(MonotonicTime now) {
    if (slot_of(now) >= horizon_) advance(slot_of(now) + 1);
    if (near_.empty() || near_.begin()->at_ > now) return nullptr;
    Timer& taken = *near_.begin();
    near_.erase(near_.begin());
    return &taken;
  }

 private:
  struct Earlier {
    bool operator()(const Timer& a, const Timer& b) const { return a.at_ < b.at_; }
  };
  using Unsized = boost::intrusive::constant_time_size<false>;
  using Ordered =
      boost::intrusive::multiset<Timer, boost::intrusive::member_hook<Timer, Timer::NearHook, &Timer::near_>,
                                 boost::intrusive::compare<Earlier>, Unsized>;
  using Unordered =
      boost::intrusive::list<Timer, boost::intrusive::member_hook<Timer, Timer::FarHook, &Timer::far_>,
                             Unsized>;

  static constexpr std::int64_t kSlots = 128;
  static constexpr unsigned kSlotBits = 30;  // of nanoseconds: 1.07 s

  static std::int64_t slot_of(MonotonicTime at) { return at.time_since_epoch().count() >> kSlotBits; }
  static MonotonicTime start_of(std::int64_t slot) { return MonotonicTime(Duration(slot << kSlotBits)); }
  static std::size_t index_of(std::int64_t slot) { return static_cast<std::size_t>(slot % kSlots); }
  void advance(std::int64_t horizon);

  std::int64_t horizon_;    // the last slot whose timers are in order
  std::int64_t first_far_;  // no slot between the horizon and this one has a timer
  Ordered near_;
  std::array<Unordered, kSlots> far_;  // the slots behind the horizon
  Unordered later_;                    // looked through whenever the slots have come round
};

}  // namespace autoglm
