#pragma once

#include "app/load_config.h"

#include <filesystem>
#include <string>

namespace autoglm::app {

/// The commands for models on this machine. They print for people, and return the exit code. `pull` writes
/// its progress to the standard error, and only the file's path to the standard output.
int pull(const std::string& model, const Environment& environment);
int list_models(const Environment& environment);
int remove_model(const std::string& model, const Environment& environment);

/// Where models are kept.
std::filesystem::path model_cache(const Environment& environment);

}  // namespace autoglm::app
