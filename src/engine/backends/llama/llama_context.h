#pragma once

#include "engine/backends/llama/llama_model.h"
#include "engine/backends/stepper.h"

#include <ggml-cpu.h>

#include <cstdint>
#include <map>
#include <memory>
#include <utility>

namespace autoglm::engine {

/// A llama.cpp context and the thread pools that compute its batches. Belongs to the engine's thread.
class LlamaContext {
 public:
  /// `params` without the number of threads and the abort callback, which are set here. Null when there is no
  /// memory for it; llama.cpp's log has the reason.
  static std::unique_ptr<LlamaContext> create(LlamaModelPtr model, llama_context_params params,
                                              std::uint32_t threads);

  llama_context* get() const { return context_.get(); }

  /// Computes `batch` with so many threads, until `stop` is set.
  DecodeStatus compute(const llama_batch& batch, std::uint32_t threads, const StopFlag& stop);

 private:
  struct FreePool {
    void operator()(ggml_threadpool* pool) const { ggml_threadpool_free(pool); }
  };

  explicit LlamaContext(LlamaModelPtr model) : model_(std::move(model)) {}
  void use_threads(std::uint32_t threads);

  LlamaModelPtr model_;
  std::map<std::uint32_t, std::unique_ptr<ggml_threadpool, FreePool>> pools_;  // by number of threads
  llama_context_ptr context_;       // after pools_, since it uses one of them
  const StopFlag* stop_ = nullptr;  // of the batch that is being computed
};

}  // namespace autoglm::engine
