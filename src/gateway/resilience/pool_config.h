#pragma once

#include "config/descriptor.h"
#include "gateway/resilience/circuit_breaker.h"
#include "http/url.h"

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace autoglm::gateway {

/// One of `models[].endpoints`.
struct EndpointConfig {
  std::string url;
  std::uint32_t weight = 1;
  bool backup = false;
  std::uint32_t max_connections = 0;
  std::string api_key;
  std::string model;
  std::map<std::string, std::string> headers;
};

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

struct HealthConfig {
  std::string path = "/health";
  Duration interval = std::chrono::seconds(5);
  Duration timeout = std::chrono::seconds(2);
  std::uint32_t unhealthy_after = 3;
  std::uint32_t healthy_after = 1;
};

struct RetryConfig {
  std::uint32_t max_attempts = 3;  ///< the first included
  std::uint32_t budget_percent = 20;
};

/// Unset: as `server.request_timeout` says, which for `total` is only about answers that are not streamed.
struct TimeoutsConfig {
  Duration connect = std::chrono::seconds(2);
  std::optional<Duration> first_token;
  std::optional<Duration> idle;
  std::optional<Duration> total;
};

/// What keeps a model's pool of endpoints going.
struct PoolConfig {
  std::vector<EndpointConfig> endpoints;
  Balance balance = Balance::kLeastLoad;
  HealthConfig health;
  BreakerConfig breaker;
  RetryConfig retry;
  TimeoutsConfig timeouts;
  std::vector<std::string> fallback;  ///< models that answer when no endpoint can
};

/// Where its API is, without slashes at the end. Errors: what is wrong with `url`.
Result<http::Url> api_url(const EndpointConfig& endpoint);

config::Descriptor<PoolConfig> describe_pool();

}  // namespace autoglm::gateway
