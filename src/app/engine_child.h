#pragma once

#include "app/model_loader.h"
#include "engine/engine_config.h"
#include "observe/log/log_config.h"

#include <string>
#include <string_view>

namespace autoglm::app {

/// The first argument of a process that runs one engine for the server that started it.
inline constexpr std::string_view kEngineCommand = "engine-process";

/// What such a process is told: by its standard input, in YAML, by the descriptors that read the
/// configuration, too.
struct EngineChildConfig {
  std::string name;  ///< of the model
  engine::EngineConfig engine;
  unsigned compute_threads = 1;  ///< at most, of an engine that does not say
  std::string cache;             ///< of models that have to be fetched
  observe::LogConfig log;
  std::string trace_id;  ///< of the log's lines that belong to no request
};

std::string write_engine_child_config(const EngineChildConfig& config);
/// Errors: it was not a server of this version that wrote it.
Result<EngineChildConfig> read_engine_child_config(std::string text);

/// Serves the engine to the parent until that ends or says so; with our own protocol, on connections that the
/// parent hands over. Returns the exit code.
int run_engine_child();

}  // namespace autoglm::app
