#pragma once

#include "app/admission_config.h"
#include "app/server_config.h"
#include "center/center_config.h"
#include "cluster/registration/register_config.h"
#include "config/descriptor.h"
#include "engine/engine_config.h"
#include "gateway/admission/groups/bulkhead_config.h"
#include "gateway/resilience/pool_config.h"
#include "observe/log/log_config.h"

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace autoglm::app {

/// Where the number of a model's requests at a time comes from.
enum class Concurrency : std::uint8_t {
  kFixed,     ///< it is configured
  kAdaptive,  ///< it is found out
};
inline std::array<config::EnumName<Concurrency>, 2> enum_names(Concurrency) {
  return {{{"fixed", Concurrency::kFixed}, {"adaptive", Concurrency::kAdaptive}}};
}

/// One of `models:`: an engine in this process, or a pool of servers elsewhere.
struct ModelConfig {
  std::string name;
  std::vector<std::string> aliases;
  std::optional<engine::EngineConfig> engine;
  std::uint32_t concurrent = 0;  ///< requests at a time; 0: no limit
  Concurrency concurrency = Concurrency::kFixed;
  gateway::PoolConfig pool;

  bool is_pool() const { return !pool.endpoints.empty() || !pool.discover.empty(); }
  bool operator==(const ModelConfig&) const = default;
};

/// `telemetry:`.
struct TelemetryConfig {
  bool metrics = true;
  observe::LogConfig log;

  bool operator==(const TelemetryConfig&) const = default;
};

enum class ResponseStorage : std::uint8_t { kMemory, kNone };
inline std::array<config::EnumName<ResponseStorage>, 2> enum_names(ResponseStorage) {
  return {{{"memory", ResponseStorage::kMemory}, {"none", ResponseStorage::kNone}}};
}

/// `responses:`: what is kept of the answers of /v1/responses.
struct ResponsesConfig {
  ResponseStorage store = ResponseStorage::kMemory;
  std::size_t max_bytes = std::size_t{64} << 20U;
  Duration ttl = std::chrono::hours(24);

  bool operator==(const ResponsesConfig&) const = default;
};

/// The whole configuration of `serve`.
struct AppConfig {
  ServerConfig server;
  std::vector<ModelConfig> models;
  TelemetryConfig telemetry;
  ResponsesConfig responses;
  AdmissionConfig admission;
  std::optional<center::CenterConfig> center;
  std::vector<cluster::RegisterConfig> registers;
};

/// The models with a limit on their requests at a time; the configuration is resolved.
std::vector<gateway::BulkheadConfig> bulkheads_of(const std::vector<ModelConfig>& models);

/// What registries will be asked, a line each with its key: `discover` and `register`. Asks nobody.
std::vector<std::string> asked_registries(const AppConfig& config);

/// Describes every key. Schema, reference and `validate` are made from it.
config::Descriptor<AppConfig> describe_app();

}  // namespace autoglm::app
