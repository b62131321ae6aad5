#pragma once

#include <llama-cpp.h>

#include <memory>
#include <utility>

namespace autoglm::engine {

/// A GGUF file's weights and vocabulary in memory. Immutable; the parts of a backend share it, and the last
/// of them frees it.
struct LlamaModel {
  explicit LlamaModel(llama_model_ptr loaded)
      : model(std::move(loaded)), vocab(llama_model_get_vocab(model.get())) {}

  llama_model_ptr model;
  const llama_vocab* vocab;
};
using LlamaModelPtr = std::shared_ptr<const LlamaModel>;

}  // namespace autoglm::engine
