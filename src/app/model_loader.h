#pragma once

#include "app/load_config.h"
#include "engine/backends/backend.h"
#include "engine/engine_config.h"
#include "observe/log/logger.h"

#include <filesystem>

namespace autoglm::app {

/// What loading a model needs beyond its own configuration.
struct ModelSources {
  std::filesystem::path cache;
  Environment environment;  ///< has the addresses of hubs
};

/// Finds the file of the model that `config.path` names, pulls it if it is missing, and loads it. Nine tenths
/// of the progress are the pull's, if there is one. `log` must outlive the loader.
engine::BackendLoader model_loader(const engine::EngineConfig& config, unsigned compute_threads,
                                   ModelSources sources, observe::Logger& log);

}  // namespace autoglm::app
