#pragma once

#include "gateway/protocol/codec.h"
#include "gateway/protocol/kserve/error.h"

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace autoglm::protocol::kserve {

/// POST /v2/models/{model}/infer: the tensors that Triton's backend for vLLM has. `text_input` in,
/// `text_output` out; a request for the output `embedding` asks for vectors (FP32) instead. Tensors stand in
/// the JSON or, as Triton's binary extension has it, behind it. One object for a request, whose path and
/// header say the rest.
class InferCodec final : public Codec {
 public:
  /// `json_size`: of the body's JSON, where tensors follow it. `answer_json_size` is set when an answer has
  /// tensors behind its JSON.
  InferCodec(std::string model, std::optional<std::size_t> json_size,
             std::shared_ptr<std::size_t> answer_json_size)
      : model_(std::move(model)), json_size_(json_size), answer_json_size_(std::move(answer_json_size)) {}

  Result<DecodedCall> decode(std::string_view body) const override;
  Result<DecodedCall> outline(std::string_view body) const override { return decode(body); }
  std::string error_body(const Error& error) const override { return kserve::error_body(error); }

 private:
  std::string model_;
  std::optional<std::size_t> json_size_;
  std::shared_ptr<std::size_t> answer_json_size_;
};

}  // namespace autoglm::protocol::kserve
