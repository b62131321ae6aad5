#pragma once

#include "gateway/protocol/codec.h"
#include "gateway/protocol/json/value.h"
#include "gateway/protocol/openai/generate_fields.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace autoglm::protocol::kserve {

/// The model's version in answers: models here have one.
inline constexpr std::string_view kVersion = "1";

/// What /generate and /infer share: the parameters that Triton's backend for vLLM has, as tensors or as
/// parameters of the request.
struct Body : openai::GenerateBody {
  std::string id;
  std::string sampling_parameters;  ///< a JSON object, as a text; empty: none
  std::optional<bool> excludes_input;
  bool tells_finish = false;
  bool tells_input_tokens = false;
  bool tells_output_tokens = false;
  std::optional<std::uint32_t> dimensions;  ///< of vectors
  std::uint32_t unknown = 0;
};

/// Reads one parameter: of this backend, of a generation as OpenAI's bodies and vLLM's have it, or of
/// TensorRT-LLM where it means the same. Others are counted.
Result<void> read_parameter(std::string_view name, const JsonValue& value, Body& body);
/// "parameters": an object.
Result<void> read_parameters(const JsonValue& value, Body& body);

/// Reads the sampling parameters and settles what depends on each other. Errors: also those that OpenAI's
/// codecs leave to the endpoint.
Result<void> settle(Body& body);

}  // namespace autoglm::protocol::kserve
