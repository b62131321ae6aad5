#pragma once

#include "app/tls_config.h"
#include "config/descriptor.h"
#include "engine/engine_config.h"
#include "gateway/front/http/cors.h"
#include "http/server.h"
#include "runtime/socket.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace autoglm::app {

/// `server:`: the side that clients see.
struct ServerConfig {
  HostPort listen{"0.0.0.0", 8080};
  HostPort admin_listen{"127.0.0.1", 8081};
  std::string admin_token;    ///< empty: none is needed
  std::string peer_key;       ///< empty: no digests of prompts are published
  std::uint32_t workers = 0;  ///< ceiling on event loops and compute threads together; 0: the CPUs
  Duration request_timeout = std::chrono::seconds(30);
  Duration drain_delay = Duration::zero();
  Duration drain_timeout = std::chrono::seconds(30);
  std::size_t max_body = 16 * 1024 * 1024;
  std::uint32_t max_connections = 10'000;
  std::uint32_t max_connections_per_client = 0;       ///< 0: without bound
  std::size_t body_memory = std::size_t{1} << 30U;    ///< bytes
  std::size_t answer_memory = std::size_t{1} << 30U;  ///< bytes
  std::size_t compress_above = 8 * 1024;              ///< bytes; 0: never
  bool http2 = true;
  std::uint32_t http2_streams = 128;
  Duration header_timeout = std::chrono::seconds(15);
  Duration body_timeout = std::chrono::seconds(60);
  Duration idle_timeout = std::chrono::seconds(75);
  Duration write_timeout = std::chrono::seconds(30);
  engine::GenerationDefaults generation_defaults = engine::GenerationDefaults::kModel;
  gateway::CorsPolicy cors;                    ///< of `listen`
  std::optional<ListenerTlsConfig> tls;        ///< unset: plain HTTP
  std::optional<ListenerTlsConfig> admin_tls;  ///< of `admin_listen`

  bool operator==(const ServerConfig&) const = default;
};

config::Descriptor<ServerConfig> describe_server();

/// The limits of one of `loops` servers that share the address.
http::ServerLimits limits_of(const ServerConfig& config, std::size_t loops,
                             std::shared_ptr<http::BodyMemory> answer_memory);

}  // namespace autoglm::app
