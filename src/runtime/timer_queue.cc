#include "runtime/timer_queue.h"

#include <algorithm>

namespace autoglm {

MonotonicTime TimerQueue::next() {
  if (!near_.empty()) return near_.begin()->at_;
  first_far_ = std::max(first_far_, horizon_ + 1);
  for (; first_far_ < horizon_ + kSlots; ++first_far_) {
    if (!far_[index_of(first_far_)].empty()) return start_of(first_far_ - 1);
  }
  return later_.empty() ? MonotonicTime::max() : start_of((horizon_ / kSlots + 1) * kSlots - 1);
}

void TimerQueue::advance(std::int64_t horizon) {
  const std::int64_t before = horizon_;
  horizon_ = horizon;
  for (std::int64_t slot = before + 1; slot <= std::min(horizon, before + kSlots); ++slot) {
    Unordered& reached = far_[index_of(slot)];
    while (!reached.empty()) {
      Timer& timer = reached.front();
      reached.pop_front();
      near_.insert(near_.end(), timer);
    }
  }
  if (horizon / kSlots == before / kSlots) return;
  Unordered all;
  all.swap(later_);
  while (!all.empty()) {
    Timer& timer = all.front();
    all.pop_front();
    add(timer);
  }
}

}  // namespace autoglm
