#include "engine/backends/llama/llama_embedder.h"

#include "base/assert.h"
#include "engine/backends/llama/llama_backend.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <optional>
#include <string>
#include <utility>

namespace autoglm::engine {

namespace {

constexpr std::uint32_t kUsualLength = 2048;  // a step's memory grows with its square
constexpr std::uint32_t kMaxSequences = 64;

std::string architecture_of(const llama_model* model) {
  std::array<char, 128> value{};
  llama_model_meta_val_str(model, "general.architecture", value.data(), value.size());
  return value.data();
}

/// A value of the file's metadata below the architecture's name.
std::optional<std::string> metadata(const llama_model* model, std::string_view key) {
  const std::string name = fmt::format("{}.{}", architecture_of(model), key);
  std::array<char, 128> value{};
  if (llama_model_meta_val_str(model, name.c_str(), value.data(), value.size()) < 0) return std::nullopt;
  return value.data();
}

enum llama_pooling_type pooling_of(const llama_model* model) {
  const auto said = metadata(model, "pooling_type");
  int type = LLAMA_POOLING_TYPE_UNSPECIFIED;
  if (said) std::from_chars(said->data(), said->data() + said->size(), type);
  return static_cast<enum llama_pooling_type>(type);
}

bool sees_all(const llama_model* model) { return metadata(model, "attention.causal") == "false"; }

/// The way in which vectors are made where the file does not say it.
enum llama_pooling_type pooling_for(const llama_model* model, ModelTask task) {
  if (task == ModelTask::kRank) return LLAMA_POOLING_TYPE_RANK;
  const enum llama_pooling_type said = pooling_of(model);
  if (said > LLAMA_POOLING_TYPE_NONE && said != LLAMA_POOLING_TYPE_RANK) return said;
  return sees_all(model) ? LLAMA_POOLING_TYPE_MEAN : LLAMA_POOLING_TYPE_LAST;
}

}  // namespace

ModelTask task_of(const llama_model* model) {
  const enum llama_pooling_type pooling = pooling_of(model);
  if (pooling == LLAMA_POOLING_TYPE_RANK) return ModelTask::kRank;
  return pooling > LLAMA_POOLING_TYPE_NONE || sees_all(model) ? ModelTask::kEmbed : ModelTask::kGenerate;
}

PairFormat pair_format(const LlamaModel& model) {
  if (const char* text = llama_model_chat_template(model.model.get(), "rerank"); text != nullptr)
    return {.before = {}, .between = {}, .after = {}, .text = text};
  const llama_vocab* vocab = model.vocab;
  const llama_token eos = llama_vocab_eos(vocab);
  const llama_token sep = llama_vocab_sep(vocab);
  const llama_token end = eos == LLAMA_TOKEN_NULL ? sep : eos;
  PairFormat pairs;
  const auto add = [](std::vector<TokenId>& tokens, llama_token token) {
    if (token != LLAMA_TOKEN_NULL) tokens.push_back(token);
  };
  if (llama_vocab_get_add_bos(vocab)) add(pairs.before, llama_vocab_bos(vocab));
  if (llama_vocab_get_add_eos(vocab)) add(pairs.between, end);
  if (llama_vocab_get_add_sep(vocab)) add(pairs.between, sep);
  if (llama_vocab_get_add_eos(vocab)) add(pairs.after, end);
  return pairs;
}

Result<std::unique_ptr<LlamaEmbedder>> LlamaEmbedder::create(LlamaModelPtr model, const LlamaOptions& options,
                                                             ModelTask task) {
  const llama_model* loaded = model->model.get();
  if (task == ModelTask::kRank && pooling_of(loaded) != LLAMA_POOLING_TYPE_RANK) {
    return fail(ErrorCode::kUnimplemented, "is no model that ranks: its file has no classes to pool to");
  }
  std::unique_ptr<LlamaEmbedder> made(new LlamaEmbedder(std::move(model)));
  const auto trained = static_cast<std::uint32_t>(llama_model_n_ctx_train(loaded));
  const std::uint32_t length = std::min(options.context != 0 ? options.context : kUsualLength, trained);
  llama_context_params params = llama_context_default_params();
  // A sequence is pooled from one computation, so the longest one must fit into it.
  params.n_ctx = params.n_batch = params.n_ubatch = std::max(options.max_batch, length);
  params.n_seq_max = std::min<std::uint32_t>(kMaxSequences, llama_max_parallel_sequences());
  params.embeddings = true;
  params.pooling_type = pooling_for(loaded, task);
  params.kv_unified = true;
  params.no_perf = true;
  made->context_ = LlamaContext::create(made->model_, params, options.threads);
  if (!made->context_) {
    return fail(
        ErrorCode::kUnavailable,
        fmt::format("no context of {} tokens could be made; lower `context` or `max_batch`", params.n_ctx));
  }
  made->ranks_ = task == ModelTask::kRank;
  made->classes_ = llama_model_n_cls_out(loaded);
  // llama.cpp ends these models' graphs with a softmax.
  const std::string architecture = architecture_of(loaded);
  made->gives_probabilities_ = architecture == "qwen3" || architecture == "qwen3vl";
  made->facts_ = {.context_length = length,
                  .max_batch = llama_n_ubatch(made->context_->get()),
                  .max_sequences = params.n_seq_max,
                  .outputs = made->ranks_ ? 1U : static_cast<std::uint32_t>(llama_model_n_embd_out(loaded)),
                  .threads = options.threads};
  return made;
}

DecodeStatus LlamaEmbedder::compute(std::span<const std::span<const TokenId>> sequences,
                                    std::uint32_t threads, const StopFlag& stop) {
  tokens_.clear();
  positions_.clear();
  sequences_.clear();
  for (std::size_t i = 0; i < sequences.size(); ++i) {
    for (std::size_t at = 0; at < sequences[i].size(); ++at) {
      tokens_.push_back(sequences[i][at]);
      positions_.push_back(static_cast<llama_pos>(at));
      sequences_.push_back(static_cast<llama_seq_id>(i));
    }
  }
  AUTOGLM_ASSERT(tokens_.size() <= facts_.max_batch, "a step has more tokens than it may");
  sequence_counts_.assign(tokens_.size(), 1);
  outputs_.assign(tokens_.size(), 1);
  sequence_pointers_.resize(tokens_.size());
  for (std::size_t i = 0; i < tokens_.size(); ++i) sequence_pointers_[i] = &sequences_[i];
  const llama_batch batch{.n_tokens = static_cast<std::int32_t>(tokens_.size()),
                          .token = tokens_.data(),
                          .embd = nullptr,
                          .pos = positions_.data(),
                          .n_seq_id = sequence_counts_.data(),
                          .seq_id = sequence_pointers_.data(),
                          .logits = outputs_.data()};
  // Models whose tokens see only those before them have a cache, of which nothing is used again.
  if (llama_memory_t memory = llama_get_memory(context_->get()); memory != nullptr)
    llama_memory_clear(memory, false);
  return context_->compute(batch, threads, stop);
}

std::span<const float> LlamaEmbedder::output(std::size_t sequence) {
  const float* numbers = llama_get_embeddings_seq(context_->get(), static_cast<llama_seq_id>(sequence));
  AUTOGLM_ASSERT(numbers != nullptr, "each sequence of a step has been pooled");
  if (!ranks_) return {numbers, facts_.outputs};
  // With one class its number is a logit; of several the first says that the document answers the query.
  probability_ = numbers[0];
  if (!gives_probabilities_ && classes_ <= 1) {
    probability_ = 1 / (1 + std::exp(-numbers[0]));
  } else if (!gives_probabilities_) {
    float sum = 0;
    const float most = *std::max_element(numbers, numbers + classes_);
    for (std::uint32_t i = 0; i < classes_; ++i) sum += std::exp(numbers[i] - most);
    probability_ = std::exp(numbers[0] - most) / sum;
  }
  return {&probability_, 1};
}

}  // namespace autoglm::engine
