#pragma once

#include "engine/backends/backend.h"
#include "engine/engine_config.h"
#include "inference/sampling.h"

#include <string>
#include <vector>

namespace autoglm::engine {

/// How a model is sampled where a request does not say, and who has said so. Immutable.
struct SamplingDefaults {
  std::vector<SamplingLayer> layers;  ///< the weakest first
  SamplingParams params;              ///< all of them together
  std::vector<std::string> remarks;   ///< what was found and is not heeded, for the log
};

/// Of a loaded model. Each of these wins over those before it, number by number: its file's metadata
/// ("gguf"), the generation_config.json beside that, the catalogue's entry ("catalogue"), `config.sampling`
/// ("configuration"). With GenerationDefaults::kNone only the last is asked.
SamplingDefaults sampling_defaults(const EngineConfig& config, const BackendFacts& facts);

/// What chats begin with that have no system message of their own: `config`'s, or the catalogue's, unless
/// GenerationDefaults::kNone; empty: as the model's template has it.
std::string default_system_message(const EngineConfig& config);

/// "temperature 0.2 (catalogue), top_p 0.9 (catalogue)"; "plain".
std::string to_string(const SamplingDefaults& defaults);

}  // namespace autoglm::engine
