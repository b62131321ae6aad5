#pragma once

#include "config/descriptor.h"
#include "observe/log/logger.h"

#include <optional>
#include <string>
#include <vector>

namespace autoglm::observe {

/// `telemetry.log`.
struct LogConfig {
  LogLevel level = LogLevel::kInfo;
  std::optional<LogFormat> format;  ///< unset: text on a terminal, else JSON
  std::string file;                 ///< empty: standard error
  std::string service_name = "open-autoglm";

  Logger::Options options() const;
  bool operator==(const LogConfig&) const = default;
};

/// The configuration's machinery finds these by their arguments (ADL).
std::vector<config::EnumName<LogLevel>> enum_names(LogLevel);
std::vector<config::EnumName<LogFormat>> enum_names(LogFormat);

config::Descriptor<LogConfig> describe_log();

}  // namespace autoglm::observe
