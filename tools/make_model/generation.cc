#include "generation.h"

#include "base/assert.h"
#include "base/random.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace autoglm::make_model {
namespace {

/// A sequence in progress: `all` is the prompt and the answer so far; `done` tokens of it are in the cache.
struct Sequence {
  Tokens all;
  std::size_t done = 0;
  int batch_index = -1;  // of its last token in the current batch, if that asks for logits
};

void add_token(llama_batch& batch, llama_token token, std::size_t position, int sequence, bool wants_logits) {
  batch.token[batch.n_tokens] = token;
  batch.pos[batch.n_tokens] = static_cast<llama_pos>(position);
  batch.n_seq_id[batch.n_tokens] = 1;
  batch.seq_id[batch.n_tokens][0] = sequence;
  batch.logits[batch.n_tokens] = wants_logits ? 1 : 0;
  ++batch.n_tokens;
}

/// Adds the next chunk of every sequence that has tokens to decode.
void fill_batch(llama_batch& batch, std::vector<Sequence>& sequences, int chunk) {
  batch.n_tokens = 0;
  for (std::size_t s = 0; s < sequences.size(); ++s) {
    Sequence& sequence = sequences[s];
    const std::size_t end = std::min(sequence.all.size(), sequence.done + static_cast<std::size_t>(chunk));
    sequence.batch_index = -1;
    for (; sequence.done < end; ++sequence.done) {
      const bool last = sequence.done + 1 == sequence.all.size();
      if (last) sequence.batch_index = batch.n_tokens;
      add_token(batch, sequence.all[sequence.done], sequence.done, static_cast<int>(s), last);
    }
  }
}

llama_context_ptr make_context(llama_model* model, const RunSettings& settings, std::size_t sequences,
                               std::size_t cells) {
  llama_context_params params = llama_context_default_params();
  params.n_ctx = static_cast<std::uint32_t>(cells);
  params.n_batch = static_cast<std::uint32_t>(sequences) * static_cast<std::uint32_t>(settings.prefill_chunk);
  params.n_ubatch = std::min<std::uint32_t>(params.n_batch, 512);
  params.n_seq_max = static_cast<std::uint32_t>(sequences);
  params.n_threads = params.n_threads_batch = 1;
  params.kv_unified = true;
  params.type_k = params.type_v = settings.cache;
  params.flash_attn_type =
      settings.flash_attention ? LLAMA_FLASH_ATTN_TYPE_ENABLED : LLAMA_FLASH_ATTN_TYPE_DISABLED;
  llama_context_ptr context(llama_init_from_model(model, params));
  AUTOGLM_ASSERT(context != nullptr, "the fixture must fit a context");
  return context;
}

}  // namespace

llama_token choose_best(std::span<const float> logits, std::uint64_t /*index*/) {
  return static_cast<llama_token>(std::ranges::max_element(logits) - logits.begin());
}

Choose choose_by_seed(std::uint64_t seed) {
  return [seed](std::span<const float> logits, std::uint64_t index) {
    std::vector<llama_token> order(logits.size());
    std::iota(order.begin(), order.end(), 0);
    const auto logit = [&](llama_token token) { return logits[static_cast<std::size_t>(token)]; };
    std::ranges::sort(order, std::ranges::greater{}, logit);
    double total = 0;
    for (const llama_token token : order) total += std::exp(double{logit(token)} - logit(order.front()));
    double left = uniform_draw(seed, index) * total;
    for (const llama_token token : order) {
      left -= std::exp(double{logit(token)} - logit(order.front()));
      if (left < 0) return token;
    }
    return order.back();
  };
}

LoadedModel::LoadedModel(const std::string& path) {
  llama_log_set([](ggml_log_level, const char*, void*) {}, nullptr);
  llama_backend_init();
  model_.reset(llama_model_load_from_file(path.c_str(), llama_model_default_params()));
  AUTOGLM_ASSERT(model_ != nullptr, path);
}

Tokens LoadedModel::tokenize(std::string_view text, bool add_special, bool parse_special) const {
  // Three times the text: an invalid byte becomes U+FFFD, which has three bytes.
  Tokens tokens(3 * text.size() + 2);
  const int count = llama_tokenize(vocabulary(), text.data(), static_cast<int>(text.size()), tokens.data(),
                                   static_cast<int>(tokens.size()), add_special, parse_special);
  AUTOGLM_ASSERT(count >= 0, "a token of the fixture is at least a byte");
  tokens.resize(static_cast<std::size_t>(count));
  return tokens;
}

std::string LoadedModel::detokenize(const Tokens& tokens) const {
  std::string text(tokens.size() * 32, '\0');
  const int count = llama_detokenize(vocabulary(), tokens.data(), static_cast<int>(tokens.size()),
                                     text.data(), static_cast<int>(text.size()), false, true);
  AUTOGLM_ASSERT(count >= 0, "no token of the fixture is longer than 32 bytes");
  text.resize(static_cast<std::size_t>(count));
  return text;
}

std::vector<Generated> LoadedModel::generate(const std::vector<Tokens>& prompts, int steps,
                                             const RunSettings& settings, const Choose& choose) const {
  std::vector<Sequence> sequences;
  std::size_t cells = 0;
  for (const Tokens& prompt : prompts) {
    sequences.push_back({.all = prompt});
    cells += prompt.size() + static_cast<std::size_t>(steps);
  }
  const llama_context_ptr context = make_context(model_.get(), settings, prompts.size(), cells);
  const int capacity = static_cast<int>(llama_n_batch(context.get()));
  llama_batch batch = llama_batch_init(capacity, 0, 1);
  std::vector<Generated> result(prompts.size());
  const auto n_vocab = static_cast<std::size_t>(llama_vocab_n_tokens(vocabulary()));

  for (fill_batch(batch, sequences, settings.prefill_chunk); batch.n_tokens > 0;
       fill_batch(batch, sequences, settings.prefill_chunk)) {
    AUTOGLM_ASSERT(llama_decode(context.get(), batch) == 0, "a batch within all limits decodes");
    for (std::size_t s = 0; s < sequences.size(); ++s) {
      if (sequences[s].batch_index < 0 || result[s].tokens.size() == static_cast<std::size_t>(steps))
        continue;
      const std::span logits(llama_get_logits_ith(context.get(), sequences[s].batch_index), n_vocab);
      const llama_token token = choose(logits, result[s].tokens.size());
      result[s].logits.emplace_back(logits.begin(), logits.end());
      result[s].tokens.push_back(token);
      if (result[s].tokens.size() < static_cast<std::size_t>(steps)) sequences[s].all.push_back(token);
    }
  }
  llama_batch_free(batch);
  return result;
}

}  // namespace autoglm::make_model
