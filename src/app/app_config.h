#pragma once

#include "app/tls_config.h"
#include "config/descriptor.h"
#include "engine/engine_config.h"
#include "gateway/resilience/pool_config.h"
#include "observe/log/log_config.h"
#include "runtime/socket.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace autoglm::app {

/// `server:`: what clients talk to.
struct ServerConfig {
  HostPort listen{"0.0.0.0", 8080};
  HostPort admin_listen{"127.0.0.1", 8081};
  std::uint32_t workers = 0;  ///< ceiling on event loops and compute threads together; 0: the CPUs
  Duration request_timeout = std::chrono::seconds(30);
  Duration drain_timeout = std::chrono::seconds(30);
  std::size_t max_body = 16 * 1024 * 1024;
  std::uint32_t max_connections = 10'000;
  std::optional<ListenerTlsConfig> tls;        ///< unset: plain HTTP
  std::optional<ListenerTlsConfig> admin_tls;  ///< of `admin_listen`

  bool operator==(const ServerConfig&) const = default;
};

/// One of `models:`: an engine in this process, or a pool of servers elsewhere.
struct ModelConfig {
  std::string name;
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

/// Every key there is. What schema, reference and `validate` are made from.
config::Descriptor<AppConfig> describe_app();

}  // namespace autoglm::app
