#pragma once

#include "base/clock.h"
#include "base/result.h"

#include <string_view>

namespace autoglm::gateway::grpc {

/// The header grpc-timeout: at most eight digits and a unit, one of H, M, S, m, u, n. At most a week is
/// returned. Errors: kInvalidArgument.
Result<Duration> parse_timeout(std::string_view text);

}  // namespace autoglm::gateway::grpc
