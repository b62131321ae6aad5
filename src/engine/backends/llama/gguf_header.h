#pragma once

#include "base/result.h"
#include "inference/sampling.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace autoglm::engine {

/// A GGUF file's description of itself, before its weights.
struct GgufHeader {
  std::string architecture;  ///< "llama", "chatglm"; empty: not stated
  std::string name;          ///< the model's own; may be empty
  std::uint64_t tensors = 0;
  std::uint64_t bytes = 0;           ///< the file's minimum length for all of its tensors
  SamplingNumbers sampling;          ///< `general.sampling.*`: the maker's recommendations
  std::vector<std::string> remarks;  ///< sampling statements that are ignored
};

/// Reads a file's header, and checks that the file is as long as the header says. Weights are not read, so
/// this takes milliseconds and little memory. Thread-safe. Errors, with advice: kNotFound, kInvalidArgument
/// for a file that is not GGUF, kDataLoss for one that is cut off or broken.
Result<GgufHeader> read_gguf_header(const std::string& path);

/// The form of all errors about a model's file.
Error model_file_error(ErrorCode code, const std::string& path, std::string_view what);

}  // namespace autoglm::engine
