#pragma once

#include "base/clock.h"
#include "config/descriptor.h"

#include <cstdint>
#include <string>

namespace autoglm::cluster {

/// `models[].health`: how endpoints are watched.
struct HealthConfig {
  std::string path = "/health";  ///< empty: a connection that opens is enough
  Duration interval = std::chrono::seconds(5);
  Duration timeout = std::chrono::seconds(2);
  std::uint32_t unhealthy_after = 3;
  std::uint32_t healthy_after = 1;
  Duration slow_start = std::chrono::seconds(10);  ///< from a tenth of its share to all of it; 0: at once
  std::uint32_t panic_percent = 50;  ///< when fewer are well, all are asked; 0: only when none is

  bool operator==(const HealthConfig&) const = default;
};

/// `models[].ejection`: endpoints that fail requests are left out for a while. Envoy's outlier detection.
struct EjectionConfig {
  std::uint32_t consecutive_failures = 5;  ///< 0: never
  Duration base_time = std::chrono::seconds(30);
  Duration max_time = std::chrono::seconds(300);
  std::uint32_t max_percent = 50;  ///< of a model's endpoints that may be ejected at a time

  bool operator==(const EjectionConfig&) const = default;
};

/// nginx's parameters of one endpoint: so many failures within `window` leave it out for that time.
struct FailureLimit {
  std::uint32_t max_fails = 0;  ///< 0: no such limit
  Duration window = std::chrono::seconds(10);

  bool operator==(const FailureLimit&) const = default;
};

config::Descriptor<HealthConfig> describe_health();
config::Descriptor<EjectionConfig> describe_ejection();

}  // namespace autoglm::cluster
