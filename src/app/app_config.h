#pragma once

#include "app/admission_config.h"
#include "app/server_config.h"
#include "config/descriptor.h"
#include "engine/engine_config.h"
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

/// One of `models:`: an engine in this process, or a pool of servers elsewhere.
struct ModelConfig {
  std::string name;
  std::vector<std::string> aliases;
  std::optional<engine::EngineConfig> engine;
  gateway::PoolConfig pool;

  bool is_pool() const { return !pool.endpoints.empty(); }
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
};

/// Describes every key. Schema, reference and `validate` are made from it.
config::Descriptor<AppConfig> describe_app();

}  // namespace autoglm::app
