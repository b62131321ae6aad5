#pragma once

#include "base/result.h"
#include "engine/backends/llama/llama_context.h"
#include "engine/backends/llama/llama_model.h"
#include "engine/backends/llama/saved_states.h"
#include "engine/backends/stepper.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

namespace autoglm::engine {

struct LlamaOptions;

/// A llama.cpp context with one unified key-value cache.
class LlamaStepper final : public Stepper {
 public:
  /// Errors: kUnavailable when there is no memory for the context; llama.cpp's log has the reason.
  static Result<std::unique_ptr<LlamaStepper>> create(LlamaModelPtr model, const LlamaOptions& options);

  const StepperFacts& facts() const override { return facts_; }
  DecodeStatus decode(std::span<const BatchRow> rows, std::uint32_t threads, const StopFlag& stop) override;
  std::span<float> logits(std::size_t row) override {
    return {llama_get_logits_ith(context_->get(), static_cast<std::int32_t>(row)), vocabulary_size_};
  }
  void apply(const KvOperation& operation) override;

 private:
  explicit LlamaStepper(LlamaModelPtr model) : model_(std::move(model)) {}
  Result<void> make_context(const LlamaOptions& options);
  void reserve_batch(std::uint32_t rows);

  LlamaModelPtr model_;
  std::unique_ptr<LlamaContext> context_;
  std::optional<SavedStates> saved_;
  StepperFacts facts_;
  std::size_t vocabulary_size_ = 0;

  // The arrays of a llama_batch, kept between steps.
  std::vector<llama_token> tokens_;
  std::vector<llama_pos> positions_;
  std::vector<std::int32_t> sequence_counts_;
  std::vector<llama_seq_id> sequences_;
  std::vector<llama_seq_id*> sequence_pointers_;
  std::vector<std::int8_t> wants_logits_;
};

}  // namespace autoglm::engine
