#include "engine/backends/llama/token_sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>

namespace autoglm::engine {
namespace {

std::unique_ptr<TokenSampler> make(const SamplingParams& params, std::uint32_t vocabulary,
                                   std::uint64_t seed = 1, std::uint32_t choice = 0,
                                   const std::vector<TokenId>& prompt = {}) {
  return make_token_sampler(
      {.params = params, .seed = seed, .choice = choice, .vocabulary_size = vocabulary, .prompt = prompt});
}

TokenId sample_once(TokenSampler& sampler, std::vector<float> logits, std::uint64_t index = 0) {
  return sampler.sample(logits, index).value();
}

TEST(TokenSampler, GreedyTakesTheFirstOfTheLargest) {
  const auto sampler = make({.temperature = 0}, 7);
  EXPECT_EQ(sample_once(*sampler, {0, 3, 1, 3, 2, 3, -1}), 1);
  EXPECT_EQ(sample_once(*sampler, {0, 0, 0, 0, 0, 0, 0}), 0);
  EXPECT_EQ(sample_once(*sampler, {-5, -4, -3, -2, -9, -2, -1}), 6);
}

TEST(TokenSampler, TheDrawDependsOnSeedIndexAndChoiceAlone) {
  const std::vector<float> flat(1000, 0.0F);
  const auto a = make({}, 1000, 5);
  const auto b = make({}, 1000, 5);
  std::vector<TokenId> first;
  for (std::uint64_t i = 0; i < 50; ++i) first.push_back(sample_once(*a, flat, i));
  for (std::uint64_t i = 50; i-- > 0;) EXPECT_EQ(sample_once(*b, flat, i), first[i]);  // in any order
  int same_seed = 0, same_choice = 0;
  for (std::uint64_t i = 0; i < 50; ++i) {
    same_seed += sample_once(*make({}, 1000, 6), flat, i) == first[i] ? 1 : 0;
    same_choice += sample_once(*make({}, 1000, 5, 1), flat, i) == first[i] ? 1 : 0;
  }
  EXPECT_LT(same_seed, 5);
  EXPECT_LT(same_choice, 5);
}

/// The tokens that the filters leave, by their definitions: temperature, then top_k, min_p, top_p.
std::map<TokenId, double> reference(const SamplingParams& params, const std::vector<float>& logits) {
  std::vector<std::pair<double, TokenId>> sorted;
  for (std::size_t i = 0; i < logits.size(); ++i)
    sorted.emplace_back(std::exp(static_cast<double>(logits[i]) / params.temperature),
                        static_cast<TokenId>(i));
  std::sort(sorted.rbegin(), sorted.rend());
  const auto normalize = [&sorted] {
    double total = 0;
    for (const auto& entry : sorted) total += entry.first;
    for (auto& entry : sorted) entry.first /= total;
  };
  if (params.top_k > 0) sorted.resize(std::min(sorted.size(), static_cast<std::size_t>(params.top_k)));
  normalize();
  if (params.min_p > 0)
    std::erase_if(sorted, [&, top = sorted[0].first](const auto& e) { return e.first < params.min_p * top; });
  normalize();
  if (params.top_p < 1) {
    double sum = 0;
    std::size_t kept = 0;
    while (kept < sorted.size() && sum < params.top_p) sum += sorted[kept++].first;
    sorted.resize(kept);
  }
  normalize();
  std::map<TokenId, double> out;
  for (const auto& [p, token] : sorted) out[token] = p;
  return out;
}

class Filters : public ::testing::TestWithParam<SamplingParams> {};

TEST_P(Filters, DrawAsTheirDefinitionsSay) {
  const std::vector<float> logits = {2.0F, 1.0F, 0.5F, 0.0F, -0.5F, -1.0F, 1.5F, -3.0F};
  const auto expected = reference(GetParam(), logits);
  const auto sampler = make(GetParam(), static_cast<std::uint32_t>(logits.size()));
  constexpr int kDraws = 40'000;
  std::map<TokenId, int> seen;
  for (int i = 0; i < kDraws; ++i) ++seen[sample_once(*sampler, logits, static_cast<std::uint64_t>(i))];
  double chi_square = 0;
  for (const auto& [token, count] : seen) {
    ASSERT_TRUE(expected.contains(token)) << token << " should have been filtered out";
    const double wanted = expected.at(token) * kDraws;
    chi_square += (count - wanted) * (count - wanted) / wanted;
  }
  EXPECT_EQ(seen.size(), expected.size());
  EXPECT_LT(chi_square, 30);  // 7 degrees of freedom: exceeded once in ten thousand; the seed is fixed
}

INSTANTIATE_TEST_SUITE_P(All, Filters,
                         ::testing::Values(SamplingParams{}, SamplingParams{.temperature = 0.5},
                                           SamplingParams{.temperature = 1.8}, SamplingParams{.top_k = 3},
                                           SamplingParams{.top_p = 0.7}, SamplingParams{.min_p = 0.2},
                                           SamplingParams{
                                               .temperature = 1.3, .top_p = 0.9, .top_k = 6, .min_p = 0.05}));

/// Allows the given tokens.
class Allowed final : public TokenConstraint {
 public:
  std::size_t bytes() const override { return 0; }
  explicit Allowed(std::vector<TokenId> tokens) : tokens_(std::move(tokens)) {}
  std::unique_ptr<TokenConstraint> clone() const override { return std::make_unique<Allowed>(*this); }
  bool allows(TokenId token) const override { return std::ranges::find(tokens_, token) != tokens_.end(); }
  std::optional<TokenId> mask(std::span<float> logits) const override {
    for (std::size_t i = 0; i < logits.size(); ++i) {
      if (!allows(static_cast<TokenId>(i))) logits[i] = -INFINITY;
    }
    return tokens_.empty() ? std::nullopt : std::optional(tokens_.front());
  }
  void accept(TokenId token) override { EXPECT_TRUE(allows(token)); }

 private:
  std::vector<TokenId> tokens_;
};

TEST(TokenSampler, TakesWhatAConstraintAllowsOrNothing) {
  for (const double temperature : {0.0, 1.0}) {
    const SamplingParams params{.temperature = temperature};
    const auto sample = [&](std::vector<TokenId> allowed, std::vector<float> logits) {
      const auto sampler = make_token_sampler({.params = params,
                                               .seed = 1,
                                               .choice = 0,
                                               .vocabulary_size = 100,
                                               .constraint = std::make_unique<Allowed>(std::move(allowed))});
      return sampler->sample(logits, 0);
    };
    std::vector<float> logits(100, 1.0F);
    EXPECT_EQ(sample({70}, logits), 70);
    EXPECT_EQ(sample({}, logits), std::nullopt);
    logits[70] = -INFINITY;  // the end token, before min_tokens
    EXPECT_EQ(sample({70}, logits), 70);
    EXPECT_EQ(sample({70, 80}, logits), 80);
  }
}

TEST(TokenSampler, PenaltiesAndBiasChangeLogitsAsDocumented) {
  // Greedy choice between two close tokens shows whether a changed logit is above or below the other.
  const auto frequency = make({.temperature = 0, .frequency_penalty = 0.5}, 2);
  EXPECT_EQ(sample_once(*frequency, {1.0F, 0.6F}), 0);
  frequency->accept(0);
  EXPECT_EQ(sample_once(*frequency, {1.0F, 0.6F}), 1);  // 1.0 - 0.5
  EXPECT_EQ(sample_once(*frequency, {1.2F, 0.6F}), 0);  // 1.2 - 0.5
  frequency->accept(0);
  EXPECT_EQ(sample_once(*frequency, {1.2F, 0.6F}), 1);  // 1.2 - 1.0: each occurrence counts
  const auto presence = make({.temperature = 0, .presence_penalty = 0.5}, 2);
  presence->accept(0);
  presence->accept(0);
  EXPECT_EQ(sample_once(*presence, {1.2F, 0.6F}), 0);  // 1.2 - 0.5: repeated occurrences do not count
  const auto repetition = make({.temperature = 0, .repetition_penalty = 2.0}, 2, 1, 0, {0});
  EXPECT_EQ(sample_once(*repetition, {1.0F, 0.6F}), 1);    // the prompt counts: 1.0 / 2
  EXPECT_EQ(sample_once(*repetition, {-0.4F, -0.7F}), 1);  // and -0.4 × 2
  const std::vector<std::pair<TokenId, float>> bias = {{1, 3.0F}};
  const auto biased = make_token_sampler(
      {.params = {.temperature = 0}, .seed = 1, .choice = 0, .vocabulary_size = 2, .logit_bias = bias});
  EXPECT_EQ(sample_once(*biased, {2.9F, 0.0F}), 1);
  EXPECT_EQ(sample_once(*biased, {3.1F, 0.0F}), 0);
}

/// The tokens drawn from `logits` in many draws.
std::vector<TokenId> drawn(const SamplingParams& params, const std::vector<float>& logits) {
  const auto sampler = make(params, static_cast<std::uint32_t>(logits.size()));
  std::map<TokenId, int> counts;
  for (std::uint64_t i = 0; i < 2000; ++i) ++counts[sample_once(*sampler, logits, i)];
  std::vector<TokenId> tokens;
  for (const auto& [token, count] : counts) tokens.push_back(token);
  return tokens;
}

TEST(TokenSampler, KeepsWhatIsTypicalAndWhatIsNearTheTop) {
  // One token is far likelier than is typical; of the others, which are equal, any may be kept.
  const std::vector<float> logits = {3.0F, 1.0F, 1.0F, 1.0F, 1.0F, 1.0F, 1.0F, 1.0F};
  EXPECT_EQ(drawn({}, logits).size(), 8U);
  EXPECT_LT(drawn({.typical_p = 0.3}, logits).size(), 8U);
  EXPECT_EQ(drawn({.top_n_sigma = 0.5}, logits), std::vector<TokenId>{0});
  EXPECT_EQ(drawn({.top_p = 0}, logits), std::vector<TokenId>{0});
}

TEST(TokenSampler, PenaltiesCountTheirWindow) {
  const std::vector<float> logits = {1.0F, 0.9F, 0.8F};
  const auto chosen = [&](std::int32_t window) {
    const auto sampler = make({.temperature = 0, .presence_penalty = 2, .penalty_window = window}, 3);
    for (const TokenId token : {0, 1}) sampler->accept(token);
    return sample_once(*sampler, logits);
  };
  EXPECT_EQ(chosen(-1), 2);
  EXPECT_EQ(chosen(1), 0);
  EXPECT_EQ(chosen(0), 0);
}

}  // namespace
}  // namespace autoglm::engine
