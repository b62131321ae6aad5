#pragma once

#include "app/load_config.h"

#include <filesystem>
#include <string>

namespace autoglm::app {

/// The commands about models on this machine: what they print is for people, what they return is the exit
/// code. `pull` writes its progress to the standard error, and to the standard output the path of the file
/// alone.
int pull(const std::string& model, const Environment& environment);
int list_models(const Environment& environment);
int remove_model(const std::string& model, const Environment& environment);

/// Where models are kept.
std::filesystem::path model_cache(const Environment& environment);

}  // namespace autoglm::app
