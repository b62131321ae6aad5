#pragma once

#include "base/result.h"
#include "inference/sampling.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace autoglm::engine {

/// What a GGUF file says about itself before its weights.
struct GgufHeader {
  std::string architecture;  ///< "llama", "chatglm"; empty: it does not say
  std::string name;          ///< the model's own; may be empty
  std::uint64_t tensors = 0;
  std::uint64_t bytes = 0;           ///< how long the file has to be for all of its tensors
  SamplingNumbers sampling;          ///< `general.sampling.*`: how its maker wants it to be sampled
  std::vector<std::string> remarks;  ///< what it says of that and is not heeded
};

/// Reads a file's header, and checks that the file is as long as it says: no weights are touched, so this
/// takes milliseconds and no memory to speak of. Thread-safe. Errors, with what to do: kNotFound,
/// kInvalidArgument for what is no GGUF file, kDataLoss for one that is cut off or broken.
Result<GgufHeader> read_gguf_header(const std::string& path);

/// How what is wrong with a model's file is told.
Error model_file_error(ErrorCode code, const std::string& path, std::string_view what);

}  // namespace autoglm::engine
