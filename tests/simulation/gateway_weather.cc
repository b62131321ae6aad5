#include "gateway_weather.h"

#include "gateway/routing/least_connections/least_connections_balancer.h"
#include "gateway/routing/least_load/least_load_balancer.h"
#include "gateway/routing/power_of_two/power_of_two_balancer.h"
#include "gateway/routing/prefix_affinity/prefix_affinity_balancer.h"
#include "gateway/routing/round_robin/round_robin_balancer.h"

namespace autoglm::gateway {

using namespace std::chrono_literals;

BalancerFactory factory_of(Balance balance) {
  switch (balance) {
    case Balance::kRoundRobin:
    case Balance::kWeightedRoundRobin:
      return make_round_robin;
    case Balance::kLeastConnections:
      return make_least_connections;
    case Balance::kLeastLoad:
      return make_least_load;
    case Balance::kPowerOfTwo:
      return make_power_of_two;
    case Balance::kPrefixAffinity:
      return make_prefix_affinity();
  }
  return nullptr;
}

PoolConfig config_of(Random& random, Balance balance) {
  PoolConfig config{
      .balance = balance,
      .health = {.unhealthy_after = 2, .slow_start = 500ms},
      .ejection = {.consecutive_failures = 4, .base_time = 500ms, .max_time = 2s},
      .breaker = {.window = 2s, .request_volume = 10, .sleep_window = 300ms},
      .retry = {.backoff = 5ms, .max_backoff = 50ms},
      .queue = {.timeout = 60ms},
  };
  const std::uint64_t count = 2 + random.below(5);
  for (std::uint64_t i = 0; i < count; ++i) {
    config.endpoints.push_back(
        {.url = "http://e" + std::to_string(i),
         .weight = 1 + static_cast<std::uint32_t>(random.below(3)),
         .backup = i > 1 && random.below(4) == 0,
         .max_connections = random.below(2) == 0 ? 0 : 3 + static_cast<std::uint32_t>(random.below(8)),
         .max_fails = random.below(3) == 0 ? 3U : 0U,
         .fail_timeout = 1s});
  }
  return config;
}

Error error_of(ErrorCode code, Origin origin, Retry retry, std::string reason) {
  return {.code = code, .origin = origin, .retry = retry, .reason = std::move(reason)};
}

Duration about(Random& random, Duration mean) {
  return std::chrono::duration_cast<Duration>(mean * (0.5 + random.uniform()));
}

std::pair<std::optional<Error>, Duration> fate(Random& random, Mood mood) {
  using enum Origin;
  if (random.below(200) == 0)
    return {error_of(ErrorCode::kInvalidArgument, kClient, Retry::kNever), about(random, 2ms)};
  switch (mood) {
    case Mood::kFailing:
      if (random.below(4) != 0)
        return {error_of(ErrorCode::kUnavailable, kEndpoint, Retry::kElsewhere), about(random, 2ms)};
      break;
    case Mood::kHanging:
      return {error_of(ErrorCode::kDeadlineExceeded, kEndpoint, Retry::kElsewhere), 150ms};
    case Mood::kGone:
      return {error_of(ErrorCode::kUnavailable, kEndpoint, Retry::kElsewhere, "connect_failed"),
              about(random, 1ms)};
    case Mood::kBusy: {
      Error busy = error_of(ErrorCode::kResourceExhausted, kEndpoint, Retry::kElsewhere);
      if (random.below(2) == 0) busy.retry_after = 7s;
      return {std::move(busy), about(random, 1ms)};
    }
    default:
      break;
  }
  return {std::nullopt, about(random, 10ms)};
}

}  // namespace autoglm::gateway
