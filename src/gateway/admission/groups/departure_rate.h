#pragma once

#include "base/clock.h"

#include <algorithm>
#include <cstdint>

namespace autoglm::gateway {

/// How fast requests leave a group while it is full, which is how fast the line for it moves. It is measured
/// also while no request waits, so that a bad estimate which keeps requests from waiting does not stay. Times
/// of several loops may run back a little. Pure; not thread-safe.
class DepartureRate {
 public:
  static constexpr std::uint32_t kSolid = 8;  ///< departures from which on the estimate is believed

  /// The group is full now; it may have been before.
  void full(MonotonicTime now) {
    if (!is_full_) since_ = now;
    is_full_ = true;
  }
  void not_full() { is_full_ = false; }
  /// A request has left the full group.
  void departed(MonotonicTime now) {
    if (!is_full_) return;
    const Duration took = std::max(now - since_, Duration::zero());
    since_ = std::max(now, since_);
    seen_ = std::min(seen_ + 1, kMost);
    mean_ += (took - mean_) / static_cast<Duration::rep>(seen_);
  }
  /// The group has another number of places: what was seen says nothing any more.
  void forget() { *this = DepartureRate(); }

  bool solid() const { return seen_ >= kSolid; }
  /// Until so many more have left.
  Duration until(std::size_t departures) const {
    const auto most = Duration::max().count() / std::max<Duration::rep>(mean_.count(), 1);
    return mean_ * std::min<Duration::rep>(static_cast<Duration::rep>(departures), most);
  }

 private:
  static constexpr std::uint32_t kMost = 32;  // the mean is of about so many

  bool is_full_ = false;
  MonotonicTime since_{};
  Duration mean_{};
  std::uint32_t seen_ = 0;
};

}  // namespace autoglm::gateway
