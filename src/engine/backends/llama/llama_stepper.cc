#include "engine/backends/llama/llama_stepper.h"

#include "engine/backends/llama/llama_backend.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace autoglm::engine {

namespace {

constexpr std::uint32_t kDefaultContext = 8192;

}  // namespace

Result<std::unique_ptr<LlamaStepper>> LlamaStepper::create(LlamaModelPtr model, const LlamaOptions& options) {
  std::unique_ptr<LlamaStepper> stepper(new LlamaStepper(std::move(model)));
  if (auto made = stepper->make_context(options); !made) return fail(made.error());
  return stepper;
}

Result<void> LlamaStepper::make_context(const LlamaOptions& options) {
  const llama_model* model = model_->model.get();
  const auto trained = static_cast<std::uint32_t>(llama_model_n_ctx_train(model));
  const std::uint32_t length = std::min(options.context != 0 ? options.context : kDefaultContext, trained);
  llama_context_params params = llama_context_default_params();
  params.n_ctx = std::max(options.cache_cells, length);
  params.n_batch = params.n_ubatch = std::max(options.max_batch, options.max_sequences);
  // A recurrent state or a sliding window cannot be cut at a block, so it cannot be shared permanently.
  const bool shares =
      !llama_model_is_recurrent(model) && !llama_model_is_hybrid(model) && llama_model_n_swa(model) == 0;
  params.n_seq_max =
      shares ? static_cast<std::uint32_t>(llama_max_parallel_sequences()) : options.max_sequences;
  // Logits are for rows that choose a token, not for a prompt's; llama.cpp wants at least as many as ids.
  params.n_outputs_max = params.n_seq_max;
  params.kv_unified = true;
  params.no_perf = true;
  context_ = LlamaContext::create(model_, params, options.threads);
  if (!context_) {
    return fail(ErrorCode::kUnavailable,
                fmt::format("no context of {} tokens could be made; lower `context` or `cache_tokens`",
                            params.n_ctx));
  }
  facts_.threads = options.threads;

  facts_.context_length = std::min(length, llama_n_ctx(context_->get()));
  facts_.cache_cells = llama_n_ctx(context_->get());
  facts_.max_sequences = options.max_sequences;
  facts_.sequence_ids = params.n_seq_max;
  if (shares) {
    // One id is reserved for states on their way in and out. Keys and values are in half precision.
    const auto spare = static_cast<llama_seq_id>(--facts_.sequence_ids);
    saved_.emplace(context_->get(), spare);
    facts_.cell_bytes = std::uint64_t{4} * static_cast<std::uint64_t>(llama_model_n_layer(model)) *
                        static_cast<std::uint64_t>(llama_model_n_head_kv(model)) *
                        static_cast<std::uint64_t>(llama_model_n_embd(model) / llama_model_n_head(model));
    facts_.restore_slack = SavedStates::kPiece;
  }
  facts_.shares_prefixes = shares;
  facts_.max_batch = llama_n_batch(context_->get());
  facts_.tile_rows = ggml_cpu_has_amx_int8() != 0 ? 32 : 0;
  vocabulary_size_ = static_cast<std::size_t>(llama_vocab_n_tokens(model_->vocab));
  return {};
}

void LlamaStepper::apply(const KvOperation& operation) {
  llama_memory_t memory = llama_get_memory(context_->get());
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

void LlamaStepper::reserve_batch(std::uint32_t rows) {
  if (tokens_.size() >= rows) return;
  tokens_.resize(rows);
  positions_.resize(rows);
  sequence_counts_.resize(rows, 1);
  sequences_.resize(rows);
  sequence_pointers_.resize(rows);
  for (std::uint32_t i = 0; i < rows; ++i) sequence_pointers_[i] = &sequences_[i];
  wants_logits_.resize(rows);
}

DecodeStatus LlamaStepper::decode(std::span<const BatchRow> rows, std::uint32_t threads,
                                  const StopFlag& stop) {
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
  return context_->compute(batch, threads, stop);
}

}  // namespace autoglm::engine
