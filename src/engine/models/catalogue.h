#pragma once

#include "base/result.h"

#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace autoglm::engine {

/// A model that has a short name.
struct CatalogueEntry {
  std::string_view name;
  std::string_view repository;  ///< on the Hugging Face hub
  std::string_view file;        ///< in it, and in the cache
  std::string_view about;
};

std::span<const CatalogueEntry> catalogue();

/// What stands in place of a name when none is given.
inline constexpr std::string_view kDefaultModel = "smollm2-135m-instruct";

/// Where models are kept: `$XDG_CACHE_HOME/open-autoglm/models`, or below `~/.cache`. `environment` looks a
/// variable up (an empty string if it is not set).
std::filesystem::path model_cache(std::string_view xdg_cache_home, std::string_view home);

/// A model's name and the file that holds it.
struct ModelFile {
  std::string name;  ///< what clients call it
  std::filesystem::path path;
};

/// `text` is a path to a file, a folder with exactly one .gguf file, or a name of the catalogue, which is
/// looked up in `cache`. Errors: kNotFound that says what is known, what is near, or which command fetches
/// it.
Result<ModelFile> find_model(std::string_view text, const std::filesystem::path& cache);

}  // namespace autoglm::engine
