#pragma once

#include "base/result.h"
#include "engine/engine_config.h"
#include "observe/log/log_config.h"

#include <string>
#include <string_view>

namespace autoglm::gateway {

/// The first argument of a process that runs one engine for the server that started it.
inline constexpr std::string_view kEngineCommand = "engine-process";

/// The configuration of such a process: YAML on its standard input, read by the same descriptors as the
/// server's.
struct EngineChildConfig {
  std::string name;  ///< of the model
  engine::EngineConfig engine;
  unsigned compute_threads = 1;  ///< at most, for an engine without a number of its own
  std::string cache;             ///< the folder for models that have to be fetched
  observe::LogConfig log;
  std::string trace_id;  ///< for lines of the log that belong to no request
};

std::string write_engine_child_config(const EngineChildConfig& config);
/// Errors: no server of this version wrote it.
Result<EngineChildConfig> read_engine_child_config(std::string text);

}  // namespace autoglm::gateway
