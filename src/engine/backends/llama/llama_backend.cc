#include "engine/backends/llama/llama_backend.h"

#include "base/utf8.h"
#include "engine/backends/llama/chat_renderer.h"
#include "engine/backends/llama/gguf_header.h"
#include "engine/backends/llama/grammar_constraint.h"
#include "engine/backends/llama/library_log.h"
#include "engine/backends/llama/saved_states.h"
#include "engine/backends/llama/schema_grammar.h"
#include "engine/backends/llama/tokenizer.h"
#include "engine/backends/llama/tokenizer_info.h"

#include <ggml-cpu.h>
#include <llama-cpp.h>
#include <llama.h>

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <exception>
#include <map>
#include <mutex>
#include <optional>
#include <type_traits>
#include <utility>

namespace autoglm::engine {

namespace {

constexpr std::uint32_t kDefaultContext = 8192;
// How long compute threads poll for the next step before they sleep, in llama.cpp's unit: some milliseconds,
// longer than the engine takes between steps. The default would burn a fifth of a second of CPU.
constexpr std::uint32_t kPoll = 1;

struct ThreadPoolFree {
  void operator()(ggml_threadpool* pool) const { ggml_threadpool_free(pool); }
};

/// Returns what `make` returns; an exception becomes the error of `field`.
template <class F>
std::invoke_result_t<F> without_exceptions(const std::string& field, const F& make) {
  try {
    return make();
  } catch (const std::exception& exception) {
    return fail(
        invalid_field(field, fmt::format("{} cannot be used: {}", field, excerpt(exception.what(), 200))));
  }
}

class LlamaBackend final : public Backend {
 public:
  // Never inlined: cmake/tsan.supp knows what happens inside by the name of its caller.
  [[gnu::noinline]] static Result<std::unique_ptr<Backend>> load(const LlamaOptions& options,
                                                                 const LoadProgress& progress);

  const BackendFacts& facts() const override { return facts_; }
  Result<std::vector<TokenId>> tokenize(std::string_view text, bool add_special,
                                        bool parse_special) const override;
  std::string_view piece(TokenId token) const override { return pieces_[static_cast<std::size_t>(token)]; }
  std::string_view written(TokenId token) const override { return llama_vocab_get_text(vocab_, token); }
  bool ends_generation(TokenId token) const override { return llama_vocab_is_eog(vocab_, token); }
  std::span<const TokenId> end_tokens() const override { return end_tokens_; }
  Result<RenderedChat> render_chat(const ChatPrompt& chat, const OutputFormat& format) const override;
  Result<std::unique_ptr<TokenConstraint>> make_constraint(const OutputFormat& format) const override;

  DecodeStatus decode(std::span<const BatchRow> rows, std::uint32_t threads) override;
  std::span<float> logits(std::size_t row) override {
    return {llama_get_logits_ith(context_.get(), static_cast<std::int32_t>(row)), facts_.vocabulary_size};
  }
  void apply(const KvOperation& operation) override;

 private:
  Result<void> make_context(const LlamaOptions& options);
  void read_pieces();
  void reserve_batch(std::uint32_t rows);
  void use_threads(std::uint32_t threads);

  llama_model_ptr model_;
  const llama_vocab* vocab_ = nullptr;
  std::map<std::uint32_t, std::unique_ptr<ggml_threadpool, ThreadPoolFree>> pools_;  // by number of threads
  llama_context_ptr context_;  // after pools_, since it uses one of them
  std::optional<SavedStates> saved_;
  std::unique_ptr<TokenTree> tree_;
  std::unique_ptr<ChatRenderer> chat_;
  BackendFacts facts_;
  std::vector<std::string> pieces_;
  std::vector<TokenId> end_tokens_;

  // The arrays of a llama_batch, kept between steps.
  std::vector<llama_token> tokens_;
  std::vector<llama_pos> positions_;
  std::vector<std::int32_t> sequence_counts_;
  std::vector<llama_seq_id> sequences_;
  std::vector<llama_seq_id*> sequence_pointers_;
  std::vector<std::int8_t> wants_logits_;
};

Result<std::unique_ptr<Backend>> LlamaBackend::load(const LlamaOptions& options,
                                                    const LoadProgress& progress) {
  static std::once_flag once;
  std::call_once(once, [] {
    LibraryLog::listen();
    llama_backend_init();
  });
  const auto chat_template = read_chat_template(options.chat_template);
  if (!chat_template) return fail(chat_template.error());
  auto header = read_gguf_header(options.path);
  if (!header) return fail(header.error());

  const LibraryLog log;
  auto backend = std::make_unique<LlamaBackend>();
  llama_model_params params = llama_model_default_params();
  params.load_mode = LLAMA_LOAD_MODE_MMAP;
  params.progress_callback = [](float share, void* user) {
    return (*static_cast<const LoadProgress*>(user))(static_cast<double>(share));
  };
  params.progress_callback_user_data = const_cast<LoadProgress*>(&progress);
  try {
    backend->model_.reset(llama_model_load_from_file(options.path.c_str(), params));
    if (!backend->model_) {
      return fail(model_file_error(
          ErrorCode::kDataLoss, options.path,
          fmt::format("cannot be loaded: {}. If the file may be incomplete, fetch it again", log.reason())));
    }
    if (!llama_model_has_decoder(backend->model_.get()) || llama_model_has_encoder(backend->model_.get())) {
      return fail(
          model_file_error(ErrorCode::kUnimplemented, options.path, "is not a decoder-only language model"));
    }
    backend->vocab_ = llama_model_get_vocab(backend->model_.get());
    if (auto checked = check_vocabulary(backend->vocab_); !checked)
      return fail(model_file_error(ErrorCode::kDataLoss, options.path, checked.error().message));
    backend->tree_ = std::make_unique<TokenTree>(backend->vocab_);
    if (auto made = backend->make_context(options); !made) {
      return fail(model_file_error(ErrorCode::kUnavailable, options.path,
                                   made.error().message + ": " + log.reason()));
    }
    backend->chat_ =
        ChatRenderer::create(backend->model_.get(), *backend->tree_, options.system_message, *chat_template);
    const char* own = llama_model_chat_template(backend->model_.get(), nullptr);
    if (options.chat_template.empty() && (own == nullptr || *own == '\0'))
      backend->facts_.notes.emplace_back("its file has no chat template: chats are written in ChatML");
    backend->facts_.has_chat_template = true;
    backend->facts_.tokenizer_info =
        tokenizer_info(backend->model_.get(), backend->facts_.context_length, backend->chat_->source());
    backend->facts_.file = options.path;
    backend->facts_.sampling = header->sampling;
    backend->facts_.remarks = std::move(header->remarks);
    backend->read_pieces();
  } catch (const std::exception& exception) {
    return fail(model_file_error(ErrorCode::kDataLoss, options.path,
                                 fmt::format("cannot be used: {}", exception.what())));
  }
  return backend;
}

Result<void> LlamaBackend::make_context(const LlamaOptions& options) {
  const auto trained = static_cast<std::uint32_t>(llama_model_n_ctx_train(model_.get()));
  const std::uint32_t wanted = options.context != 0 ? options.context : std::min(trained, kDefaultContext);
  const std::uint32_t length = std::min(wanted, trained);
  const std::uint32_t cells = std::max(options.cache_cells, length);
  if (wanted > trained) {
    facts_.notes.push_back(
        fmt::format("`context` is {} tokens, and the model was trained for {}: requests have {}", wanted,
                    trained, length));
  }

  llama_context_params params = llama_context_default_params();
  params.n_ctx = cells;
  params.n_batch = params.n_ubatch = std::max(options.max_batch, options.max_sequences);
  // A recurrent state or a sliding window cannot be cut at a block, so it cannot be shared permanently.
  const bool shares = !llama_model_is_recurrent(model_.get()) && !llama_model_is_hybrid(model_.get()) &&
                      llama_model_n_swa(model_.get()) == 0;
  params.n_seq_max =
      shares ? static_cast<std::uint32_t>(llama_max_parallel_sequences()) : options.max_sequences;
  // Logits are for rows that choose a token, not for a prompt's; llama.cpp wants at least as many as ids.
  params.n_outputs_max = params.n_seq_max;
  params.n_threads = params.n_threads_batch = static_cast<std::int32_t>(options.threads);
  params.kv_unified = true;
  params.no_perf = true;
  params.abort_callback = [](void* user) {
    return static_cast<std::atomic<bool>*>(user)->load(std::memory_order_relaxed);
  };
  params.abort_callback_data = &abort;
  context_.reset(llama_init_from_model(model_.get(), params));
  if (!context_) {
    return fail(
        ErrorCode::kUnavailable,
        fmt::format("no context of {} tokens could be made; lower `context` or `cache_tokens`", cells));
  }
  facts_.threads = options.threads;
  use_threads(options.threads);

  facts_.context_length = std::min(length, llama_n_ctx(context_.get()));
  facts_.cache_cells = llama_n_ctx(context_.get());
  facts_.max_sequences = options.max_sequences;
  facts_.sequence_ids = params.n_seq_max;
  if (shares) {
    // One id is reserved for states on their way in and out. Keys and values are in half precision.
    const auto spare = static_cast<llama_seq_id>(--facts_.sequence_ids);
    saved_.emplace(context_.get(), spare);
    const llama_model* model = model_.get();
    facts_.cell_bytes = std::uint64_t{4} * static_cast<std::uint64_t>(llama_model_n_layer(model)) *
                        static_cast<std::uint64_t>(llama_model_n_head_kv(model)) *
                        static_cast<std::uint64_t>(llama_model_n_embd(model) / llama_model_n_head(model));
  }
  facts_.shares_prefixes = shares;
  facts_.max_batch = llama_n_batch(context_.get());
  facts_.tile_rows = ggml_cpu_has_amx_int8() != 0 ? 32 : 0;
  facts_.vocabulary_size = static_cast<std::uint32_t>(llama_vocab_n_tokens(vocab_));
  facts_.adds_bos = llama_vocab_get_add_bos(vocab_);
  const InfillTokens infill{.prefix = llama_vocab_fim_pre(vocab_),
                            .suffix = llama_vocab_fim_suf(vocab_),
                            .middle = llama_vocab_fim_mid(vocab_)};
  if (std::min({infill.prefix, infill.suffix, infill.middle}) >= 0) facts_.infill = infill;
  return {};
}

void LlamaBackend::read_pieces() {
  pieces_.resize(facts_.vocabulary_size);
  std::array<char, 256> buffer;
  for (std::uint32_t token = 0; token < facts_.vocabulary_size; ++token) {
    const auto id = static_cast<llama_token>(token);
    if (llama_vocab_is_eog(vocab_, id)) end_tokens_.push_back(id);
    const std::size_t written = std::string_view(llama_vocab_get_text(vocab_, id)).size();  // of special
                                                                                            // tokens
    const std::int32_t size = llama_token_to_piece(vocab_, id, buffer.data(), buffer.size(), 0, false);
    if (size >= 0) {
      pieces_[token].assign(buffer.data(), static_cast<std::size_t>(size));
    } else {
      pieces_[token].resize(static_cast<std::size_t>(-size));
      llama_token_to_piece(vocab_, id, pieces_[token].data(), -size, 0, false);
    }
    facts_.longest_token =
        std::max(facts_.longest_token, static_cast<std::uint32_t>(std::max(written, pieces_[token].size())));
  }
}

Result<std::vector<TokenId>> LlamaBackend::tokenize(std::string_view text, bool add_special,
                                                    bool parse_special) const {
  return engine::tokenize(vocab_, text, add_special, parse_special);
}

Result<RenderedChat> LlamaBackend::render_chat(const ChatPrompt& chat, const OutputFormat& format) const {
  return without_exceptions("messages", [&] { return chat_->render(chat, format); });
}

Result<std::unique_ptr<TokenConstraint>> LlamaBackend::make_constraint(const OutputFormat& format) const {
  const std::string field(format.field());
  return without_exceptions(field, [&]() -> Result<std::unique_ptr<TokenConstraint>> {
    const auto spec = grammar_of(format);
    if (!spec) return fail(spec.error());
    auto constraint = make_grammar_constraint(*tree_, *spec);
    if (constraint) return constraint;
    return fail(invalid_field(field, constraint.error().message));
  });
}

void LlamaBackend::apply(const KvOperation& operation) {
  llama_memory_t memory = llama_get_memory(context_.get());
  const auto begin = static_cast<llama_pos>(operation.begin);
  const llama_pos end = operation.end == KvOperation::kToTheEnd ? -1 : static_cast<llama_pos>(operation.end);
  switch (operation.kind) {
    case KvOperation::Kind::kShare:
      llama_memory_seq_cp(memory, operation.from, operation.to, begin, end);
      break;
    case KvOperation::Kind::kForget:
      llama_memory_seq_rm(memory, operation.from, begin, end);
      break;
    case KvOperation::Kind::kSave:
      saved_->save(operation);
      break;
    case KvOperation::Kind::kRestore:
      saved_->restore(operation);
      break;
    case KvOperation::Kind::kDrop:
      saved_->drop(operation.state);
      break;
  }
}

void LlamaBackend::reserve_batch(std::uint32_t rows) {
  if (tokens_.size() >= rows) return;
  tokens_.resize(rows);
  positions_.resize(rows);
  sequence_counts_.resize(rows, 1);
  sequences_.resize(rows);
  sequence_pointers_.resize(rows);
  for (std::uint32_t i = 0; i < rows; ++i) sequence_pointers_[i] = &sequences_[i];
  wants_logits_.resize(rows);
}

/// Thread pools of our own: without one llama.cpp restarts its threads at every step. There is one pool for
/// each number of threads, since unused threads of a pool would poll meanwhile; llama.cpp pauses a pool that
/// it stops using.
void LlamaBackend::use_threads(std::uint32_t threads) {
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

DecodeStatus LlamaBackend::decode(std::span<const BatchRow> rows, std::uint32_t threads) {
  use_threads(threads);
  reserve_batch(facts_.max_batch);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    tokens_[i] = rows[i].token;
    positions_[i] = rows[i].position;
    sequences_[i] = rows[i].sequence;
    wants_logits_[i] = rows[i].wants_logits ? 1 : 0;
  }
  const llama_batch batch{.n_tokens = static_cast<std::int32_t>(rows.size()),
                          .token = tokens_.data(),
                          .embd = nullptr,
                          .pos = positions_.data(),
                          .n_seq_id = sequence_counts_.data(),
                          .seq_id = sequence_pointers_.data(),
                          .logits = wants_logits_.data()};
  try {
    switch (llama_decode(context_.get(), batch)) {
      case 0:
        return DecodeStatus::kOk;
      case 1:
        return DecodeStatus::kNoRoom;
      case 2:
        return DecodeStatus::kAborted;
      default:
        return DecodeStatus::kFailed;
    }
  } catch (const std::exception&) {  // out of memory for the step
    return DecodeStatus::kFailed;
  }
}

}  // namespace

Result<std::unique_ptr<Backend>> load_llama_backend(const LlamaOptions& options,
                                                    const LoadProgress& progress) {
  return LlamaBackend::load(options, progress);
}

std::string_view llama_release() { return AUTOGLM_LLAMA_RELEASE; }

}  // namespace autoglm::engine
