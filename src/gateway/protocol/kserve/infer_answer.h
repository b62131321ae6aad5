#pragma once

#include "gateway/protocol/codec.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace autoglm::protocol::kserve {

/// An output tensor of an answer.
struct OutputPlan {
  enum class Kind : std::uint8_t { kText, kFinish, kInputTokens, kOutputTokens, kEmbedding };
  Kind kind = Kind::kText;
  bool binary = false;
};

/// How an answer of tensors is written.
struct InferPlan {
  std::string id;
  std::vector<OutputPlan> outputs;
  std::vector<std::string> beginnings;     ///< of each choice's text; empty ones: it has none
  std::shared_ptr<std::size_t> json_size;  ///< set when tensors follow the JSON

  bool is_binary() const;
};

std::unique_ptr<AnswerEncoder> make_infer_encoder(const AnswerFacts& facts,
                                                  std::shared_ptr<const InferPlan> plan);

}  // namespace autoglm::protocol::kserve
