#include "engine/backends/llama/llama_backend.h"

#include "engine/backends/llama/gguf_header.h"
#include "engine/backends/llama/library_log.h"
#include "engine/backends/llama/llama_chat_format.h"
#include "engine/backends/llama/llama_embedder.h"
#include "engine/backends/llama/llama_stepper.h"
#include "engine/backends/llama/llama_vocabulary.h"
#include "engine/backends/llama/tokenizer.h"
#include "engine/backends/llama/tokenizer_info.h"

#include <fmt/format.h>

#include <exception>
#include <mutex>
#include <utility>

namespace autoglm::engine {

namespace {

llama_model_ptr load_file(const LlamaOptions& options, const LoadProgress& progress) {
  llama_model_params params = llama_model_default_params();
  params.load_mode = LLAMA_LOAD_MODE_MMAP;
  params.progress_callback = [](float share, void* user) {
    return (*static_cast<const LoadProgress*>(user))(static_cast<double>(share));
  };
  params.progress_callback_user_data = const_cast<LoadProgress*>(&progress);
  return llama_model_ptr(llama_model_load_from_file(options.path.c_str(), params));
}

/// What of the file and the options may surprise.
std::vector<std::string> notes_of(const llama_model* model, const LlamaOptions& options) {
  std::vector<std::string> notes;
  const auto trained = static_cast<std::uint32_t>(llama_model_n_ctx_train(model));
  if (options.context > trained) {
    notes.push_back(fmt::format("`context` is {} tokens, and the model was trained for {}: requests have {}",
                                options.context, trained, trained));
  }
  const char* own = llama_model_chat_template(model, nullptr);
  if (options.chat_template.empty() && (own == nullptr || *own == '\0'))
    notes.emplace_back("its file has no chat template: chats are written in ChatML");
  return notes;
}

Result<Backend> make_embedding_backend(const LlamaOptions& options, const LlamaModelPtr& model,
                                       ModelTask task, GgufHeader header) {
  const LibraryLog log;
  auto embedder = LlamaEmbedder::create(model, options, task);
  if (!embedder) {
    const std::string reason = log.reason();
    return fail(model_file_error(embedder.error().code, options.path,
                                 embedder.error().message + (reason.empty() ? "" : ": " + reason)));
  }
  const std::uint32_t context = (*embedder)->facts().context_length;
  return Backend{.facts = {.file = options.path,
                           .tokenizer_info = tokenizer_info(model->model.get(), context, ""),
                           .sampling = {},
                           .remarks = std::move(header.remarks),
                           .notes = {}},
                 .vocabulary = std::make_shared<const LlamaVocabulary>(model),
                 .stepper = nullptr,
                 .embedder = std::move(*embedder),
                 .pairs = task == ModelTask::kRank ? pair_format(*model) : PairFormat(),
                 .task = task};
}

Result<Backend> make_backend(const LlamaOptions& options, const ChatTemplate& chat_template,
                             GgufHeader header, const LoadProgress& progress) {
  const LibraryLog log;
  llama_model_ptr loaded = load_file(options, progress);
  if (!loaded) {
    return fail(model_file_error(
        ErrorCode::kDataLoss, options.path,
        fmt::format("cannot be loaded: {}. If the file may be incomplete, fetch it again", log.reason())));
  }
  if (!llama_model_has_decoder(loaded.get()) || llama_model_has_encoder(loaded.get())) {
    return fail(
        model_file_error(ErrorCode::kUnimplemented, options.path, "is not a decoder-only language model"));
  }
  const auto model = std::make_shared<const LlamaModel>(std::move(loaded));
  if (auto checked = check_vocabulary(model->vocab); !checked)
    return fail(model_file_error(ErrorCode::kDataLoss, options.path, checked.error().message));
  if (const ModelTask task = options.task.value_or(task_of(model->model.get())); task != ModelTask::kGenerate)
    return make_embedding_backend(options, model, task, std::move(header));
  auto stepper = LlamaStepper::create(model, options);
  if (!stepper) {
    return fail(model_file_error(ErrorCode::kUnavailable, options.path,
                                 stepper.error().message + ": " + log.reason()));
  }
  const auto chat = std::make_shared<const LlamaChatFormat>(model, options.system_message, chat_template);
  const std::uint32_t context = (*stepper)->facts().context_length;
  return Backend{.facts = {.file = options.path,
                           .tokenizer_info = tokenizer_info(model->model.get(), context, chat->source()),
                           .sampling = {.source = "gguf", .numbers = header.sampling},
                           .remarks = std::move(header.remarks),
                           .notes = notes_of(model->model.get(), options)},
                 .vocabulary = std::make_shared<const LlamaVocabulary>(model),
                 .chat = chat,
                 .stepper = std::move(*stepper)};
}

// Never inlined: cmake/tsan.supp knows what happens inside by the name of its caller.
[[gnu::noinline]] Result<Backend> load(const LlamaOptions& options, const LoadProgress& progress) {
  static std::once_flag once;
  std::call_once(once, [] {
    LibraryLog::listen();
    llama_backend_init();
  });
  const auto chat_template = read_chat_template(options.chat_template);
  if (!chat_template) return fail(chat_template.error());
  auto header = read_gguf_header(options.path);
  if (!header) return fail(header.error());
  try {
    return make_backend(options, *chat_template, std::move(*header), progress);
  } catch (const std::exception& exception) {
    return fail(model_file_error(ErrorCode::kDataLoss, options.path,
                                 fmt::format("cannot be used: {}", exception.what())));
  }
}

}  // namespace

Result<Backend> load_llama_backend(const LlamaOptions& options, const LoadProgress& progress) {
  return load(options, progress);
}

std::string_view llama_release() { return AUTOGLM_LLAMA_RELEASE; }

}  // namespace autoglm::engine
