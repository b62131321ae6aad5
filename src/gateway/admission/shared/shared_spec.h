#pragma once

#include "base/result.h"
#include "gateway/admission/rate/rate_spec.h"

#include <array>
#include <cstdint>
#include <string>

namespace autoglm::gateway {

/// A rate limit as the scripts in Redis have it. Lua counts in doubles, which are exact up to 2^53, so the
/// unit is chosen for each limit: microseconds, and as small a part of a token as leaves every sum exact.
/// Where the rate itself does not fit, it is rounded down, by a thousandth at most.
struct SharedSpec {
  char kind = 'b';          ///< `b`: token bucket, `l`: leaky bucket, `w`: sliding window
  std::uint64_t parts = 1;  ///< of a token; of a window: a sub-window's microseconds
  std::uint64_t rate = 1;   ///< parts that drain in a microsecond
  std::uint64_t most = 1;   ///< tokens at once
  std::uint64_t room = 1;   ///< and with those that wait

  /// Errors: kInvalidArgument for a limit that cannot be counted exactly.
  static Result<SharedSpec> of(const RateSpec& spec);
  /// The scripts' arguments: kind, parts, rate, most, room.
  std::array<std::string, 5> words() const;

  bool operator==(const SharedSpec&) const = default;
};

/// What one of `replicas` servers lets through by itself: such a part of the limit, and at least one at once.
RateSpec share_of(const RateSpec& spec, std::uint32_t replicas);

}  // namespace autoglm::gateway
