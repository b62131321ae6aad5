#pragma once

#include "base/result.h"
#include "inference/sampling.h"

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace autoglm::engine {

/// The contents of a generation_config.json, Hugging Face's file with a model's defaults.
struct GenerationConfig {
  SamplingNumbers sampling;
  std::vector<std::string> remarks;  ///< statements that are ignored
};

/// Reads the file: the numbers of SamplingNumbers by their names, and `do_sample`, of which an explicit false
/// means temperature 0. Other members are for other programs, and `eos_token_id` is not needed: a GGUF file
/// names the tokens that end its model's answers. Errors: kDataLoss, it is not a JSON object.
Result<GenerationConfig> parse_generation_config(std::string_view json);

/// The generation_config.json in the folder of `model_file`; an empty one if there is none. Errors: as above,
/// and kUnavailable, it cannot be read; the message names the file.
Result<GenerationConfig> generation_config_beside(const std::filesystem::path& model_file);

}  // namespace autoglm::engine
