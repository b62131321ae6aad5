#pragma once

#include "engine/models/model_name.h"
#include "inference/sampling.h"

#include <filesystem>
#include <span>
#include <string_view>

namespace autoglm::engine {

/// A model with a short name.
struct CatalogueEntry {
  std::string_view name;
  std::string_view repository;  ///< on the Hugging Face hub
  std::string_view wanted;      ///< a file or a quantization in the repository
  std::string_view about;
  SamplingNumbers sampling{};  ///< the maker's recommendation, or what was found to be best for this file
  std::string_view system_message{};  ///< for chats without one; empty: the template's default
};

std::span<const CatalogueEntry> catalogue();
/// nullptr for an unknown name.
const CatalogueEntry* find_entry(std::string_view name);
/// The entry of a model, by its short name or by its repository. nullptr: it has none.
const CatalogueEntry* entry_of(const ModelName& name);

/// The model that is used when none is named.
inline constexpr std::string_view kDefaultModel = "smollm2-135m-instruct";

/// The folder of models: `$XDG_CACHE_HOME/open-autoglm/models`, or below `~/.cache`. Takes the variables'
/// values, empty if not set.
std::filesystem::path model_cache(std::string_view xdg_cache_home, std::string_view home);

}  // namespace autoglm::engine
