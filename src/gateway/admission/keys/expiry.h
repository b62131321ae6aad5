#pragma once

#include "base/result.h"
#include "gateway/admission/usage/usage_day.h"

#include <string>
#include <string_view>

namespace autoglm::gateway {

/// The moment of an RFC 3339 text: "2027-01-31T00:00:00Z", "2027-01-31T01:00:00+01:00". Fractions of a second
/// are dropped. Errors: kInvalidArgument for the field `expires`.
Result<WallTime> parse_moment(std::string_view text);

/// The same, or a time from `now` on: "90d", "12h".
Result<WallTime> parse_expiry(std::string_view text, WallTime now);

/// "2027-01-31T00:00:00Z".
std::string to_rfc3339(WallTime time);

}  // namespace autoglm::gateway
