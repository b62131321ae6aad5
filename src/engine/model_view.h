#pragma once

#include "base/result.h"
#include "engine/backends/chat_format.h"
#include "engine/backends/embedder.h"
#include "engine/backends/vocabulary.h"
#include "inference/model_task.h"

#include <cstdint>
#include <memory>

namespace autoglm::engine {

/// A loaded model as the preparation of its requests sees it: everything but the steps. Immutable and
/// thread-safe; jobs on the pool share it, so it may outlive the engine.
struct ModelView {
  std::shared_ptr<const Vocabulary> vocabulary;
  std::shared_ptr<const ChatFormat> chat;  ///< null: Backend::chat
  std::uint32_t context_length = 0;        ///< tokens of one sequence
  std::uint32_t max_sequences = 0;         ///< choices of one request that run at the same time
  ModelTask task = ModelTask::kGenerate;
  std::uint32_t outputs = 0;  ///< of an embedding model: EmbedderFacts::outputs
  PairFormat pairs = {};      ///< of a ranking model

  /// ChatFormat::render. Errors: also kInvalidArgument for a model without a chat format.
  Result<RenderedChat> render(const ChatPrompt& messages, const OutputFormat& format) const;
  /// ChatFormat::constrain, likewise.
  Result<std::unique_ptr<TokenConstraint>> constrain(const OutputFormat& format) const;
};

}  // namespace autoglm::engine
