#pragma once

#include "base/result.h"

#include <inference/grpc_predict_v2.pb.h>

#include <optional>
#include <string>
#include <string_view>

namespace autoglm::protocol::grpc {

namespace kserve = ::inference;

/// What a generation's tensors say, as Triton's vLLM backend has them.
struct InferInputs {
  std::string text;                             ///< text_input, BYTES
  bool stream = false;                          ///< stream, BOOL
  std::string sampling_parameters;              ///< sampling_parameters, BYTES: a JSON object; empty: none
  std::optional<bool> exclude_input_in_output;  ///< BOOL
  bool raw = false;                             ///< the tensors came as raw bytes, and so shall the answer's
};

/// Each tensor has one element; takes the texts out of `request`. Errors: kInvalidArgument, with the tensor.
Result<InferInputs> read_inputs(kserve::ModelInferRequest& request);

/// The inputs and outputs of a model that generates text.
void describe_tensors(kserve::ModelMetadataResponse& response);

/// Adds `text_output` to an answer; as raw bytes where the request's tensors were.
void add_text_output(kserve::ModelInferResponse& response, const std::string* texts, std::size_t count,
                     bool raw);

/// Models have one version, "1". Errors: kNotFound.
Result<void> check_version(std::string_view version);

}  // namespace autoglm::protocol::grpc
