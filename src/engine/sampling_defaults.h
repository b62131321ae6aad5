#pragma once

#include "engine/backends/backend.h"
#include "engine/engine_config.h"
#include "inference/sampling.h"

#include <string>
#include <vector>

namespace autoglm::engine {

/// The sampling values for requests that leave them out, and their sources. Immutable.
struct SamplingDefaults {
  std::vector<SamplingLayer> layers;  ///< the weakest first
  SamplingParams params;              ///< the combined values
  std::vector<std::string> remarks;   ///< statements that were found and ignored, for the log
};

/// The defaults of a loaded model. Each source takes precedence over those before it, number by number: the
/// file's metadata (`facts.sampling`), the generation_config.json beside it, the catalogue's entry
/// ("catalogue"), `config.sampling` ("configuration"). With GenerationDefaults::kNone only the last one is
/// used.
SamplingDefaults sampling_defaults(const EngineConfig& config, const ModelFacts& facts);

/// The system message for chats without one: `config`'s, or the catalogue's unless GenerationDefaults::kNone;
/// empty: the model template's default.
std::string default_system_message(const EngineConfig& config);

/// "temperature 0.2 (catalogue), top_p 0.9 (catalogue)"; "plain".
std::string to_string(const SamplingDefaults& defaults);

}  // namespace autoglm::engine
