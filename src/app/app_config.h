#pragma once

#include "app/server_config.h"
#include "config/descriptor.h"
#include "engine/engine_config.h"
#include "gateway/resilience/pool_config.h"
#include "observe/log/log_config.h"

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

/// The whole configuration of `serve`.
struct AppConfig {
  ServerConfig server;
  std::vector<ModelConfig> models;
  TelemetryConfig telemetry;
};

/// Describes every key. Schema, reference and `validate` are made from it.
config::Descriptor<AppConfig> describe_app();

}  // namespace autoglm::app
