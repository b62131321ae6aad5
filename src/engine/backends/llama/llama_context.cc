#include "engine/backends/llama/llama_context.h"

#include <exception>

namespace autoglm::engine {

namespace {

// How long compute threads poll for the next step before they sleep, in llama.cpp's unit: some milliseconds,
// longer than the engine takes between steps. The default would burn a fifth of a second of CPU.
constexpr std::uint32_t kPoll = 1;

}  // namespace

std::unique_ptr<LlamaContext> LlamaContext::create(LlamaModelPtr model, llama_context_params params,
                                                   std::uint32_t threads) {
  std::unique_ptr<LlamaContext> made(new LlamaContext(std::move(model)));
  params.n_threads = params.n_threads_batch = static_cast<std::int32_t>(threads);
  params.abort_callback = [](void* user) {
    const StopFlag* stop = static_cast<const LlamaContext*>(user)->stop_;
    return stop != nullptr && stop->is_set();
  };
  params.abort_callback_data = made.get();
  made->context_.reset(llama_init_from_model(made->model_->model.get(), params));
  if (!made->context_) return nullptr;
  made->use_threads(threads);
  return made;
}

/// Thread pools of our own: without one llama.cpp restarts its threads at every step. There is one pool for
/// each number of threads, since unused threads of a pool would poll meanwhile. A pool lives as long as the
/// context: llama.cpp pauses the pool that it used last when it computes with another one.
void LlamaContext::use_threads(std::uint32_t threads) {
  const auto count = static_cast<std::int32_t>(threads);
  auto& pool = pools_[threads];
  if (pool && llama_n_threads(context_.get()) == count) return;
  if (!pool) {
    ggml_threadpool_params params = ggml_threadpool_params_default(count);
    params.poll = kPoll;
    pool.reset(ggml_threadpool_new(&params));
  }
  llama_attach_threadpool(context_.get(), pool.get(), pool.get());
  llama_set_n_threads(context_.get(), count, count);
}

DecodeStatus LlamaContext::compute(const llama_batch& batch, std::uint32_t threads, const StopFlag& stop) {
  use_threads(threads);
  stop_ = &stop;
  try {
    switch (llama_decode(context_.get(), batch)) {
      case 0:
        return DecodeStatus::kOk;
      case 1:
        return DecodeStatus::kNoRoom;
      case 2:
        return DecodeStatus::kAborted;
      default:
        // What pools reports an abort as a failure.
        return stop.is_set() ? DecodeStatus::kAborted : DecodeStatus::kFailed;
    }
  } catch (const std::exception&) {  // out of memory for the step
    return DecodeStatus::kFailed;
  }
}

}  // namespace autoglm::engine
