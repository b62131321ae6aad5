#pragma once

#include "cluster/discovery/discover_config.h"
#include "cluster/health/health_config.h"
#include "cluster/membership/endpoint_spec.h"
#include "config/descriptor.h"
#include "gateway/resilience/circuit_breaker.h"

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace autoglm::gateway {

enum class Balance : std::uint8_t {
  kRoundRobin,
  kWeightedRoundRobin,
  kLeastConnections,
  kLeastLoad,
  kPowerOfTwo,
  kPrefixAffinity
};
inline std::array<config::EnumName<Balance>, 6> enum_names(Balance) {
  return {{{"round_robin", Balance::kRoundRobin},
           {"weighted_round_robin", Balance::kWeightedRoundRobin},
           {"least_connections", Balance::kLeastConnections},
           {"least_load", Balance::kLeastLoad},
           {"power_of_two", Balance::kPowerOfTwo},
           {"prefix_affinity", Balance::kPrefixAffinity}}};
}

struct RetryConfig {
  std::uint32_t max_attempts = 3;  ///< the first included
  std::uint32_t budget_percent = 20;
  Duration backoff = std::chrono::milliseconds(25);  ///< before the same endpoints are asked again
  Duration max_backoff = std::chrono::milliseconds(250);

  bool operator==(const RetryConfig&) const = default;
};

/// Requests that wait for a place while every endpoint has its `max_connections`.
struct QueueConfig {
  std::uint32_t size = 1024;
  Duration timeout = std::chrono::seconds(10);

  bool operator==(const QueueConfig&) const = default;
};

/// A second endpoint is asked when the first is silent for longer than most are.
struct HedgeConfig {
  std::uint32_t percentile = 0;  ///< of the first tokens' times, learnt; 0: off
  Duration min_delay = std::chrono::milliseconds(20);

  bool operator==(const HedgeConfig&) const = default;
};

/// Unset ones are `server.request_timeout`, which as `total` limits only answers that are not streamed.
struct TimeoutsConfig {
  Duration connect = std::chrono::seconds(2);
  Duration reuse = std::chrono::minutes(1);
  std::optional<Duration> first_token;
  std::optional<Duration> idle;
  std::optional<Duration> total;

  bool operator==(const TimeoutsConfig&) const = default;
};

/// A model's endpoints, and how they are used.
struct PoolConfig {
  std::vector<cluster::EndpointSpec> endpoints;
  std::vector<cluster::DiscoverConfig> discover;  ///< registries that know further ones
  Balance balance = Balance::kLeastLoad;
  cluster::HealthConfig health;
  cluster::EjectionConfig ejection;
  BreakerConfig breaker;
  RetryConfig retry;
  QueueConfig queue;
  HedgeConfig hedge;
  TimeoutsConfig timeouts;
  std::vector<std::string> pass;      ///< paths below /v1/ that go to the endpoints as they are
  bool continue_text = true;          ///< resume broken streams of foreign servers from their text
  std::vector<std::string> fallback;  ///< models that answer when no endpoint can
  std::string static_answer;          ///< the answer when they cannot either; empty: an error

  bool operator==(const PoolConfig&) const = default;
};

config::Descriptor<PoolConfig> describe_pool();

/// For how long what is known of an endpoint that left says something of one that comes back: its breaker's
/// counts, and how often it was ejected.
Duration memory_of(const PoolConfig& config);

}  // namespace autoglm::gateway
