#pragma once

#include "base/random.h"
#include "gateway/resilience/pool_config.h"
#include "gateway/routing/balancer.h"

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

namespace autoglm::gateway {

/// The present state of a simulated server.
enum class Mood : std::uint8_t { kWell, kFailing, kHanging, kGone, kBusy, kBreaking };

/// A pool of servers with various settings; all times are short, so that much happens.
PoolConfig config_of(Random& random, Balance balance);
BalancerFactory factory_of(Balance balance);
Error error_of(ErrorCode code, Origin origin, Retry retry, std::string reason = {});
/// Between half of `mean` and one and a half times it.
Duration about(Random& random, Duration mean);
/// The outcome of asking a server in that mood, and when it comes.
std::pair<std::optional<Error>, Duration> fate(Random& random, Mood mood);

}  // namespace autoglm::gateway
