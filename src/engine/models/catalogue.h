#pragma once

#include <filesystem>
#include <span>
#include <string_view>

namespace autoglm::engine {

/// A model that has a short name.
struct CatalogueEntry {
  std::string_view name;
  std::string_view repository;  ///< on the Hugging Face hub
  std::string_view wanted;      ///< of it: a file, or a quantization
  std::string_view about;
};

std::span<const CatalogueEntry> catalogue();
/// nullptr for a name that it does not have.
const CatalogueEntry* find_entry(std::string_view name);

/// What stands in place of a name when none is given.
inline constexpr std::string_view kDefaultModel = "smollm2-135m-instruct";

/// Where models are kept: `$XDG_CACHE_HOME/open-autoglm/models`, or below `~/.cache`; the variables' values,
/// empty when they are not set.
std::filesystem::path model_cache(std::string_view xdg_cache_home, std::string_view home);

}  // namespace autoglm::engine
