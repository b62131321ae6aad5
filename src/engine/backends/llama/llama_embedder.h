#pragma once

#include "base/result.h"
#include "engine/backends/embedder.h"
#include "engine/backends/llama/llama_context.h"
#include "engine/backends/llama/llama_model.h"
#include "inference/model_task.h"

#include <cstdint>
#include <memory>
#include <vector>

namespace autoglm::engine {

struct LlamaOptions;

/// What the file says that its model is for: it ranks when it pools to classes, makes vectors when it pools
/// otherwise or every token sees those behind it, and generates text else.
ModelTask task_of(const llama_model* model);

/// The tokens that stand around and between a query and a document.
PairFormat pair_format(const LlamaModel& model);

/// A llama.cpp context that pools what it computes into one vector a sequence.
class LlamaEmbedder final : public Embedder {
 public:
  /// A model whose file names no pooling takes its last token, or the mean where every token sees all others.
  /// Errors: kUnavailable when there is no memory for the context, kUnimplemented for a model without what
  /// `task` needs.
  static Result<std::unique_ptr<LlamaEmbedder>> create(LlamaModelPtr model, const LlamaOptions& options,
                                                       ModelTask task);

  const EmbedderFacts& facts() const override { return facts_; }
  DecodeStatus compute(std::span<const std::span<const TokenId>> sequences, std::uint32_t threads,
                       const StopFlag& stop) override;
  std::span<const float> output(std::size_t sequence) override;

 private:
  explicit LlamaEmbedder(LlamaModelPtr model) : model_(std::move(model)) {}

  LlamaModelPtr model_;
  std::unique_ptr<LlamaContext> context_;
  EmbedderFacts facts_;
  bool ranks_ = false;
  bool gives_probabilities_ = false;  // a ranking model's own numbers are no logits
  std::uint32_t classes_ = 0;
  float probability_ = 0;

  // The arrays of a llama_batch, kept between steps.
  std::vector<llama_token> tokens_;
  std::vector<llama_pos> positions_;
  std::vector<std::int32_t> sequence_counts_;
  std::vector<llama_seq_id> sequences_;
  std::vector<llama_seq_id*> sequence_pointers_;
  std::vector<std::int8_t> outputs_;
};

}  // namespace autoglm::engine
