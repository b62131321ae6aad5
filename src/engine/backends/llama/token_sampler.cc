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

// OpenAI's penalties count all generated tokens; llama.cpp wants a window.
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
        greedy_(setup.params.temperature == 0),
        bias_(setup.logit_bias.begin(), setup.logit_bias.end()),
        allowed_(setup.allowed),
        banned_(setup.banned) {
    const SamplingParams& params = setup.params;
    const auto vocabulary = static_cast<std::int32_t>(setup.vocabulary_size);
    const std::int32_t window =
        params.penalty_window < 0 ? kPenaltyWindow : std::min(params.penalty_window, kPenaltyWindow);
    if (params.repetition_penalty != 1.0 && window > 0) {
      repetition_.reset(llama_sampler_init_penalties(
          vocabulary, window, static_cast<float>(params.repetition_penalty), 0.0F, 0.0F));
      for (const TokenId token : setup.prompt) count(repetition_.get(), token);
    }
    if ((params.frequency_penalty != 0 || params.presence_penalty != 0) && window > 0) {
      frequency_.reset(llama_sampler_init_penalties(vocabulary, window, 1.0F,
                                                    static_cast<float>(params.frequency_penalty),
                                                    static_cast<float>(params.presence_penalty)));
    }
    for (const TokenId token : setup.answer) remember(token);
    if (greedy_) return;
    filters_.reset(llama_sampler_chain_init(llama_sampler_chain_default_params()));
    const auto add = [this](llama_sampler* filter) { llama_sampler_chain_add(filters_.get(), filter); };
    if (params.top_n_sigma > 0) add(llama_sampler_init_top_n_sigma(static_cast<float>(params.top_n_sigma)));
    if (params.top_k > 0) add(llama_sampler_init_top_k(params.top_k));
    if (params.typical_p < 1) add(llama_sampler_init_typical(static_cast<float>(params.typical_p), 1));
    if (params.temperature != 1) add(llama_sampler_init_temp(static_cast<float>(params.temperature)));
    if (params.min_p > 0) add(llama_sampler_init_min_p(static_cast<float>(params.min_p), 1));
    if (params.top_p < 1) add(llama_sampler_init_top_p(static_cast<float>(params.top_p), 1));
  }

  std::optional<TokenId> sample(std::span<float> logits, std::uint64_t index) override {
    for (const auto& [token, bias] : bias_) logits[static_cast<std::size_t>(token)] += bias;
    penalize(logits);
    restrict(logits);
    if (!leaves_any(logits)) return std::nullopt;
    TokenId token = choose(logits, index);
    if (!constraint_ || constraint_->allows(token)) return token;
    // Asking a grammar about one token is cheap, about a whole vocabulary it is not. For greedy requests the
    // next likeliest token is as good as a mask, and usually allowed; a draw needs all allowed tokens.
    for (int i = 0; greedy_ && i < kGreedyTries; ++i) {
      logits[static_cast<std::size_t>(token)] = -std::numeric_limits<float>::infinity();
      if (!leaves_any(logits)) return std::nullopt;
      token = choose(logits, index);
      if (constraint_->allows(token)) return token;
    }
    const std::optional<TokenId> allowed = constraint_->mask(logits);
    if (!allowed || !leaves_any(logits)) return std::nullopt;
    token = choose(logits, index);
    // All allowed tokens may be excluded for another reason: the end token, before min_tokens.
    return logits[static_cast<std::size_t>(token)] == -INFINITY ? allowed : token;
  }

  void accept(TokenId token) override {
    if (constraint_) constraint_->accept(token);
    remember(token);
  }

 private:
  void remember(TokenId token) {
    count(token);
    if (!banned_.empty()) answer_.push_back(token);
  }

  /// Excludes the tokens that the request excludes, whatever their likelihood.
  void restrict(std::span<float> logits) {
    if (!allowed_.empty()) {
      thread_local std::vector<float> kept;
      kept.clear();
      for (const TokenId token : allowed_) kept.push_back(logits[static_cast<std::size_t>(token)]);
      std::ranges::fill(logits, -std::numeric_limits<float>::infinity());
      for (std::size_t i = 0; i < allowed_.size(); ++i)
        logits[static_cast<std::size_t>(allowed_[i])] = kept[i];
    }
    for (const std::vector<TokenId>& tokens : banned_) {
      const std::span<const TokenId> before = std::span(tokens).first(tokens.size() - 1);
      if (before.size() > answer_.size()) continue;
      if (std::ranges::equal(before, std::span<const TokenId>(answer_).last(before.size())))
        logits[static_cast<std::size_t>(tokens.back())] = -std::numeric_limits<float>::infinity();
    }
  }

  /// Whether the request's exclusions leave any token.
  bool leaves_any(std::span<const float> logits) const {
    if (allowed_.empty() && banned_.empty()) return true;
    const auto possible = [](float logit) { return logit != -std::numeric_limits<float>::infinity(); };
    if (allowed_.empty()) return std::ranges::any_of(logits, possible);
    return std::ranges::any_of(
        allowed_, [&](TokenId token) { return possible(logits[static_cast<std::size_t>(token)]); });
  }

  void count(TokenId token) {
    if (repetition_) count(repetition_.get(), token);
    if (frequency_) count(frequency_.get(), token);
  }
  void count(llama_sampler* penalty, TokenId token) {
    llama_sampler_accept(penalty, token);
    const auto at = static_cast<std::size_t>(token);
    if (is_counted_.size() <= at) is_counted_.resize(at + 1);
    if (is_counted_[at]) return;
    is_counted_[at] = true;
    counted_.push_back({.id = token, .logit = 0, .p = 0});
  }

  /// Penalties change only the logits of counted tokens, so llama.cpp is given only those tokens.
  void penalize(std::span<float> logits) {
    if (counted_.empty()) return;
    for (llama_token_data& each : counted_) each.logit = logits[static_cast<std::size_t>(each.id)];
    llama_token_data_array array{counted_.data(), counted_.size(), -1, false};
    if (repetition_) llama_sampler_apply(repetition_.get(), &array);
    if (frequency_) llama_sampler_apply(frequency_.get(), &array);
    for (const llama_token_data& each : counted_) logits[static_cast<std::size_t>(each.id)] = each.logit;
  }

  TokenId choose(std::span<const float> logits, std::uint64_t index) const {
    if (greedy_) return largest(logits);
    // One array per thread for all sequences: a vocabulary takes megabytes.
    thread_local std::vector<llama_token_data> candidates;
    candidates.resize(logits.size());
    for (std::size_t i = 0; i < logits.size(); ++i)
      candidates[i] = {static_cast<llama_token>(i), logits[i], 0.0F};
    llama_token_data_array array{candidates.data(), candidates.size(), -1, false};
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
    return array.data[array.size - 1].id;  // rounding: the draw was close to 1
  }

  std::unique_ptr<TokenConstraint> constraint_;
  std::uint64_t seed_;
  std::uint64_t choice_;
  bool greedy_;
  std::vector<std::pair<TokenId, float>> bias_;
  std::span<const TokenId> allowed_;
  std::span<const std::vector<TokenId>> banned_;
  std::vector<TokenId> answer_;   // kept if there are banned sequences
  llama_sampler_ptr repetition_;  // over prompt and answer
  llama_sampler_ptr frequency_;   // over the answer
  std::vector<bool> is_counted_;  // by either of them
  std::vector<llama_token_data> counted_;
  llama_sampler_ptr filters_;
};

}  // namespace

std::unique_ptr<TokenSampler> make_token_sampler(SamplerSetup setup) {
  return std::make_unique<FilteredSampler>(std::move(setup));
}

}  // namespace autoglm::engine
