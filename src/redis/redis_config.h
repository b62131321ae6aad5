#pragma once

#include "base/clock.h"
#include "base/result.h"
#include "config/descriptor.h"
#include "redis/options.h"
#include "runtime/socket.h"

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace autoglm::redis {

/// `redis.tls`; the files are PEM.
struct TlsConfig {
  std::string ca;
  std::string certificate;
  std::string key;
  std::string server_name;

  bool operator==(const TlsConfig&) const = default;
};

/// `redis:`.
struct RedisConfig {
  HostPort address{"127.0.0.1", 6379};
  std::string username;
  std::string password;
  std::optional<TlsConfig> tls;
  std::vector<HostPort> sentinels;
  std::string master;
  Duration timeout = std::chrono::milliseconds(5);
  std::string prefix = "autoglm:";
  std::uint32_t replicas = 1;

  /// Errors: files of `tls` that cannot be used.
  Result<std::shared_ptr<const Options>> options() const;
  bool operator==(const RedisConfig&) const = default;
};

config::Descriptor<RedisConfig> describe_redis();

}  // namespace autoglm::redis
