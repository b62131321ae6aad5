#include "engine/sampling_defaults.h"

#include "engine/models/catalogue.h"
#include "engine/models/generation_config.h"
#include "engine/models/model_store.h"

#include <fmt/format.h>

#include <utility>

namespace autoglm::engine {

namespace {

const CatalogueEntry* entry_of(const EngineConfig& config) {
  const auto name = ModelStore::name(config.path);
  return name ? engine::entry_of(*name) : nullptr;
}

bool asks_model(const EngineConfig& config) {
  return config.generation_defaults.value_or(GenerationDefaults::kModel) == GenerationDefaults::kModel;
}

/// Adds the known defaults of the model, from before any configuration.
void add_model_layers(const EngineConfig& config, const ModelFacts& facts, SamplingDefaults& defaults) {
  defaults.layers.push_back(facts.sampling);
  defaults.remarks = facts.remarks;
  if (!facts.file.empty()) {
    if (auto beside = generation_config_beside(facts.file)) {
      defaults.layers.push_back({"generation_config.json", beside->sampling});
      for (const std::string& remark : beside->remarks)
        defaults.remarks.push_back("generation_config.json: " + remark);
    } else {
      defaults.remarks.push_back(beside.error().message);
    }
  }
  if (const CatalogueEntry* entry = entry_of(config))
    defaults.layers.push_back({"catalogue", entry->sampling});
}

}  // namespace

SamplingDefaults sampling_defaults(const EngineConfig& config, const ModelFacts& facts) {
  SamplingDefaults defaults;
  if (asks_model(config)) add_model_layers(config, facts, defaults);
  defaults.layers.push_back({"configuration", config.sampling});
  defaults.params = merge(defaults.layers);
  return defaults;
}

std::string default_system_message(const EngineConfig& config) {
  if (!config.system_message.empty() || !asks_model(config)) return config.system_message;
  const CatalogueEntry* entry = entry_of(config);
  return entry != nullptr ? std::string(entry->system_message) : std::string();
}

std::string to_string(const SamplingDefaults& defaults) {
  std::string text;
  for (const SamplingDefault& number : explain(defaults.layers)) {
    if (number.source == "plain") continue;
    text += fmt::format("{}{} {:g} ({})", text.empty() ? "" : ", ", number.name, number.value, number.source);
  }
  return text.empty() ? "plain" : text;
}

}  // namespace autoglm::engine
