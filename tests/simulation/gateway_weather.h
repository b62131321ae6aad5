#pragma once

#include "base/random.h"
#include "gateway/resilience/pool_config.h"
#include "gateway/routing/balancer.h"

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

namespace autoglm::gateway {

/// How a simulated server is just now.
enum class Mood : std::uint8_t { kWell, kFailing, kHanging, kGone, kBusy, kBreaking };

/// A pool with so many kinds of servers; everything quick, so that much happens.
PoolConfig config_of(Random& random, Balance balance);
BalancerFactory factory_of(Balance balance);
Error error_of(ErrorCode code, Origin origin, Retry retry, std::string reason = {});
/// Half of it, half as much again, or something between.
Duration about(Random& random, Duration mean);
/// What comes of asking a server in that mood, and when.
std::pair<std::optional<Error>, Duration> fate(Random& random, Mood mood);

}  // namespace autoglm::gateway
