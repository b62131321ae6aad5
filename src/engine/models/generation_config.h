#pragma once

#include "base/result.h"
#include "inference/sampling.h"

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace autoglm::engine {

/// What a generation_config.json says, Hugging Face's file with a model's defaults.
struct GenerationConfig {
  SamplingNumbers sampling;
  std::vector<std::string> remarks;  ///< what it says and is not heeded
};

/// Reads one: the numbers of SamplingNumbers by their names, and `do_sample`, of which an explicit false
/// means temperature 0. Other members are about other programs, and `eos_token_id` is not needed: a GGUF file
/// names the tokens that end its model's answers. Errors: kDataLoss, it is no JSON object.
Result<GenerationConfig> parse_generation_config(std::string_view json);

/// That of the folder that `model_file` is in; an empty one where there is none. Errors: as above, and
/// kUnavailable, it cannot be read; they name it.
Result<GenerationConfig> generation_config_beside(const std::filesystem::path& model_file);

}  // namespace autoglm::engine
