#include "engine/backends/llama/token_sampler.h"

#include "base/random.h"

#include <llama-cpp.h>
#include <llama.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

namespace autoglm::engine {

namespace {

// OpenAI's penalties count what was generated, however long ago; the library wants a window.
constexpr std::int32_t kPenaltyWindow = 65536;
constexpr int kGreedyTries = 32;

TokenId largest(std::span<const float> logits) {
  // Four lanes, since a single running maximum is one long chain of dependent comparisons.
  std::array<std::size_t, 4> best = {0, 0, 0, 0};
  std::size_t i = 0;
  for (; i + 4 <= logits.size(); i += 4) {
    for (std::size_t lane = 0; lane < 4; ++lane) {
      if (logits[i + lane] > logits[best[lane]]) best[lane] = i + lane;
    }
  }
  for (; i < logits.size(); ++i) {
    if (logits[i] > logits[best[0]]) best[0] = i;
  }
  // Of equal logits the first wins, as in a plain scan.
  std::size_t winner = best[0];
  for (const std::size_t candidate : best) {
    if (logits[candidate] > logits[winner] || (logits[candidate] == logits[winner] && candidate < winner)) {
      winner = candidate;
    }
  }
  return static_cast<TokenId>(winner);
}

class FilteredSampler final : public TokenSampler {
 public:
  explicit FilteredSampler(SamplerSetup setup)
      : constraint_(std::move(setup.constraint)),
        seed_(setup.seed),
        choice_(setup.choice),
        greedy_(setup.params->temperature == 0),
        bias_(setup.params->logit_bias) {
    const SamplingParams& params = *setup.params;
    const auto vocabulary = static_cast<std::int32_t>(setup.vocabulary_size);
    if (params.repetition_penalty != 1.0) {
      repetition_.reset(llama_sampler_init_penalties(
          vocabulary, kPenaltyWindow, static_cast<float>(params.repetition_penalty), 0.0F, 0.0F));
      for (const TokenId token : setup.prompt) llama_sampler_accept(repetition_.get(), token);
    }
    if (params.frequency_penalty != 0 || params.presence_penalty != 0) {
      frequency_.reset(llama_sampler_init_penalties(vocabulary, kPenaltyWindow, 1.0F,
                                                    static_cast<float>(params.frequency_penalty),
                                                    static_cast<float>(params.presence_penalty)));
    }
    for (const TokenId token : setup.answer) count(token);
    if (greedy_) return;
    filters_.reset(llama_sampler_chain_init(llama_sampler_chain_default_params()));
    const auto add = [this](llama_sampler* filter) { llama_sampler_chain_add(filters_.get(), filter); };
    if (params.top_k > 0) add(llama_sampler_init_top_k(params.top_k));
    if (params.temperature != 1) add(llama_sampler_init_temp(static_cast<float>(params.temperature)));
    if (params.min_p > 0) add(llama_sampler_init_min_p(static_cast<float>(params.min_p), 1));
    if (params.top_p < 1) add(llama_sampler_init_top_p(static_cast<float>(params.top_p), 1));
  }

  std::optional<TokenId> sample(std::span<float> logits, std::uint64_t index) override {
    for (const auto& [token, bias] : bias_) logits[static_cast<std::size_t>(token)] += bias;
    TokenId token = choose(logits, index);
    if (!constraint_ || constraint_->allows(token)) return token;
    // Asking a grammar about one token is cheap, about a whole vocabulary it is not. Greedily the next
    // likeliest is as good as a mask, and mostly allowed; a draw needs all that is allowed.
    for (int i = 0; greedy_ && i < kGreedyTries; ++i) {
      logits[static_cast<std::size_t>(token)] = -std::numeric_limits<float>::infinity();
      token = choose(logits, index);
      if (constraint_->allows(token)) return token;
    }
    const std::optional<TokenId> allowed = constraint_->mask(logits);
    if (!allowed) return std::nullopt;
    token = choose(logits, index);
    // It is not one of the allowed ones if these are ruled out otherwise: the end, before min_tokens.
    return logits[static_cast<std::size_t>(token)] == -INFINITY ? allowed : token;
  }

  void accept(TokenId token) override {
    if (constraint_) constraint_->accept(token);
    count(token);
  }

 private:
  void count(TokenId token) {
    if (repetition_) llama_sampler_accept(repetition_.get(), token);
    if (frequency_) llama_sampler_accept(frequency_.get(), token);
  }

  TokenId choose(std::span<const float> logits, std::uint64_t index) const {
    if (greedy_ && !repetition_ && !frequency_) return largest(logits);
    // One array for all sequences of a thread: a vocabulary is megabytes.
    thread_local std::vector<llama_token_data> candidates;
    candidates.resize(logits.size());
    for (std::size_t i = 0; i < logits.size(); ++i)
      candidates[i] = {static_cast<llama_token>(i), logits[i], 0.0F};
    llama_token_data_array array{candidates.data(), candidates.size(), -1, false};
    if (repetition_) llama_sampler_apply(repetition_.get(), &array);
    if (frequency_) llama_sampler_apply(frequency_.get(), &array);
    if (greedy_) {
      return std::max_element(array.data, array.data + array.size,
                              [](const auto& a, const auto& b) { return a.logit < b.logit; })
          ->id;
    }
    llama_sampler_apply(filters_.get(), &array);
    return draw(array, index);
  }

  /// Softmax and inversion over the candidates, in their order.
  TokenId draw(const llama_token_data_array& array, std::uint64_t index) const {
    float top = array.data[0].logit;
    for (std::size_t i = 1; i < array.size; ++i) top = std::max(top, array.data[i].logit);
    double total = 0;
    for (std::size_t i = 0; i < array.size; ++i) {
      array.data[i].p = std::exp(array.data[i].logit - top);
      total += static_cast<double>(array.data[i].p);
    }
    double left = uniform_draw(seed_, index, choice_) * total;
    for (std::size_t i = 0; i < array.size; ++i) {
      left -= static_cast<double>(array.data[i].p);
      if (left < 0) return array.data[i].id;
    }
    return array.data[array.size - 1].id;  // rounding: the draw was next to 1
  }

  std::unique_ptr<TokenConstraint> constraint_;
  std::uint64_t seed_;
  std::uint64_t choice_;
  bool greedy_;
  std::vector<std::pair<TokenId, float>> bias_;
  llama_sampler_ptr repetition_;  // over prompt and answer
  llama_sampler_ptr frequency_;   // over the answer
  llama_sampler_ptr filters_;
};

}  // namespace

std::unique_ptr<TokenSampler> make_token_sampler(SamplerSetup setup) {
  return std::make_unique<FilteredSampler>(std::move(setup));
}

}  // namespace autoglm::engine
