#pragma once

#include "http/message.h"

#include <chrono>
#include <optional>

namespace autoglm::http {

/// The longest time that is accepted: a number of seconds may have any number of digits, and times are
/// counted in nanoseconds.
inline constexpr std::chrono::seconds kLongestRetryAfter = std::chrono::hours(24);

/// The value of an answer's Retry-After, in seconds, perhaps with a fraction, or as a date in any of HTTP's
/// three forms; `retry-after-ms`, which OpenAI's clients obey first, takes precedence. In whole seconds,
/// rounded up, from 0 to `kLongestRetryAfter`. Nothing when the header is absent or malformed.
std::optional<std::chrono::seconds> retry_after(
    const HeaderView& headers, std::chrono::system_clock::time_point now = std::chrono::system_clock::now());

}  // namespace autoglm::http
