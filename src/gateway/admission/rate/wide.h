#pragma once

#include "base/clock.h"

#include <algorithm>
#include <cstdint>
#include <limits>

namespace autoglm::gateway {

/// 128 bits: an amount times a period does not fit into 64.
__extension__ using Wide = unsigned __int128;

/// `over` / `under`; a division by 64 bits costs a third of one by 128, and suffices nearly always.
inline Wide divide(Wide over, std::uint64_t under) {
  if (over <= std::numeric_limits<std::uint64_t>::max()) return static_cast<std::uint64_t>(over) / under;
  return over / under;
}

inline Wide divide_up(Wide over, std::uint64_t under) {
  return over == 0 ? Wide{0} : divide(over - 1, under) + 1;
}

inline std::uint64_t saturated(Wide value) {
  return static_cast<std::uint64_t>(std::min<Wide>(value, std::numeric_limits<std::uint64_t>::max()));
}

/// `nanoseconds` as a duration; the longest one, 292 years, when they are more.
inline Duration duration_of(Wide nanoseconds) {
  return Duration(static_cast<Duration::rep>(
      std::min<Wide>(nanoseconds, static_cast<Wide>(std::numeric_limits<Duration::rep>::max()))));
}

/// `duration`, at least 0, as nanoseconds.
inline std::uint64_t nanoseconds(Duration duration) { return static_cast<std::uint64_t>(duration.count()); }

/// From `from` to `to`; `to` is not earlier. Also where a signed difference would overflow.
inline std::uint64_t nanoseconds_between(MonotonicTime from, MonotonicTime to) {
  return nanoseconds(to.time_since_epoch()) - nanoseconds(from.time_since_epoch());
}

static_assert(Duration::period::den == std::nano::den, "rates are counted in nanoseconds");

}  // namespace autoglm::gateway
