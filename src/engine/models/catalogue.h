#pragma once

#include "engine/models/model_name.h"
#include "inference/sampling.h"

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
  SamplingNumbers sampling{};  ///< what its maker recommends, or what was found to be best for that file
  std::string_view system_message{};  ///< for chats without one; empty: as its template has it
};

std::span<const CatalogueEntry> catalogue();
/// nullptr for a name that it does not have.
const CatalogueEntry* find_entry(std::string_view name);
/// That of a model by its short name, or by its repository. nullptr: it has none.
const CatalogueEntry* entry_of(const ModelName& name);

/// What stands in place of a name when none is given.
inline constexpr std::string_view kDefaultModel = "smollm2-135m-instruct";

/// Where models are kept: `$XDG_CACHE_HOME/open-autoglm/models`, or below `~/.cache`; the variables' values,
/// empty when they are not set.
std::filesystem::path model_cache(std::string_view xdg_cache_home, std::string_view home);

}  // namespace autoglm::engine
