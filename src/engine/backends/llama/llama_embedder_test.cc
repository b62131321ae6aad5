#include "engine/backends/llama/llama_embedder.h"

#include "engine/backends/llama/llama_backend.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

namespace autoglm::engine {
namespace {

using Vectors = std::vector<std::vector<float>>;

Backend load(const std::string& path, std::optional<ModelTask> task = {}) {
  auto loaded = load_llama_backend({.path = path, .max_batch = 128, .threads = 2, .task = task},
                                   [](double) { return true; });
  EXPECT_TRUE(loaded) << loaded.error().message;
  return std::move(*loaded);
}

std::vector<TokenId> tokens_of(const Backend& backend, const std::string& text) {
  return *backend.vocabulary->tokenize(text, true, false);
}

/// What a step gives for these texts.
Vectors compute(const Backend& backend, const std::vector<std::string>& texts, std::uint32_t threads = 1) {
  std::vector<std::vector<TokenId>> tokens;
  for (const std::string& text : texts) tokens.push_back(tokens_of(backend, text));
  const std::vector<std::span<const TokenId>> sequences(tokens.begin(), tokens.end());
  const StopFlag stop;
  EXPECT_EQ(backend.embedder->compute(sequences, threads, stop), DecodeStatus::kOk);
  Vectors made;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const auto output = backend.embedder->output(i);
    made.emplace_back(output.begin(), output.end());
  }
  return made;
}

double cosine(const std::vector<float>& one, const std::vector<float>& other) {
  double product = 0;
  double a = 0;
  double b = 0;
  for (std::size_t i = 0; i < one.size(); ++i) {
    product += static_cast<double>(one[i] * other[i]);
    a += static_cast<double>(one[i] * one[i]);
    b += static_cast<double>(other[i] * other[i]);
  }
  return product / std::sqrt(a * b);
}

TEST(LlamaEmbedder, TheFileSaysWhatTheModelIsFor) {
  EXPECT_EQ(load(AUTOGLM_ENCODER_MODEL).task, ModelTask::kEmbed);
  EXPECT_EQ(load(AUTOGLM_RANKER_MODEL).task, ModelTask::kRank);
  EXPECT_EQ(load(AUTOGLM_TINY_MODEL).task, ModelTask::kGenerate);
}

TEST(LlamaEmbedder, EachTextHasAVectorOfItsOwn) {
  const Backend backend = load(AUTOGLM_ENCODER_MODEL);
  EXPECT_EQ(backend.embedder->facts().outputs, 64U);
  EXPECT_EQ(backend.embedder->facts().context_length, 128U);
  const Vectors made = compute(backend, {"one", "something else", "one"});
  EXPECT_EQ(made[0].size(), 64U);
  EXPECT_NEAR(cosine(made[0], made[2]), 1, 1e-6);
  EXPECT_LT(cosine(made[0], made[1]), 0.99);
}

TEST(LlamaEmbedder, AVectorDoesNotDependOnItsCompany) {
  const Backend backend = load(AUTOGLM_ENCODER_MODEL);
  const Vectors together =
      compute(backend, {"a first text", "the second", "and here a third, longer one"}, 2);
  const std::vector<std::string> texts = {"a first text", "the second", "and here a third, longer one"};
  for (std::size_t i = 0; i < texts.size(); ++i)
    EXPECT_GT(cosine(compute(backend, {texts[i]})[0], together[i]), 0.9999) << texts[i];
}

// llama.cpp pauses the pool of threads that it used before: each must live as long as the context.
TEST(LlamaEmbedder, StepsMayHaveDifferentNumbersOfThreads) {
  const Backend backend = load(AUTOGLM_ENCODER_MODEL);
  const std::vector<float> expected = compute(backend, {"a text"})[0];
  for (int i = 0; i < 300; ++i) {
    const auto threads = static_cast<std::uint32_t>(1 + i % 3);
    ASSERT_NEAR(cosine(compute(backend, {"a text"}, threads)[0], expected), 1, 1e-6) << threads;
  }
}

TEST(LlamaEmbedder, AModelThatGeneratesEmbedsWhereItIsTold) {
  const Backend backend = load(AUTOGLM_TINY_MODEL, ModelTask::kEmbed);
  ASSERT_NE(backend.embedder, nullptr);
  const Vectors made = compute(backend, {"one", "two", "one"});
  EXPECT_NEAR(cosine(made[0], made[2]), 1, 1e-6);
  EXPECT_NEAR(cosine(made[0], compute(backend, {"one"})[0]), 1, 1e-4) << "nothing is left of a step";
}

TEST(LlamaEmbedder, ARankerGivesAProbability) {
  const Backend backend = load(AUTOGLM_RANKER_MODEL);
  EXPECT_EQ(backend.embedder->facts().outputs, 1U);
  const Vectors made = compute(backend, {"a pair", "another pair"});
  EXPECT_NE(made[0][0], made[1][0]);
  for (const auto& score : made) {
    EXPECT_GT(score[0], 0);
    EXPECT_LT(score[0], 1);
  }
  EXPECT_FALSE(backend.pairs.between.empty());
  EXPECT_FALSE(backend.pairs.after.empty());
}

TEST(LlamaEmbedder, AModelWithoutClassesDoesNotRank) {
  const auto loaded = load_llama_backend({.path = AUTOGLM_ENCODER_MODEL, .task = ModelTask::kRank},
                                         [](double) { return true; });
  ASSERT_FALSE(loaded);
  EXPECT_NE(loaded.error().message.find("ranks"), std::string::npos) << loaded.error().message;
}

TEST(LlamaEmbedder, AStepEndsSoonAfterItIsStopped) {
  const Backend backend = load(AUTOGLM_ENCODER_MODEL);
  const std::vector<TokenId> tokens = tokens_of(backend, "a text");
  const std::vector<std::span<const TokenId>> sequences = {tokens};
  StopFlag stop;
  stop.set();
  EXPECT_EQ(backend.embedder->compute(sequences, 1, stop), DecodeStatus::kAborted);
  stop.clear();
  EXPECT_EQ(backend.embedder->compute(sequences, 1, stop), DecodeStatus::kOk);
}

}  // namespace
}  // namespace autoglm::engine
