#include "inference/sampling.h"

#include <gtest/gtest.h>

#include <limits>

namespace autoglm {
namespace {

SamplingNumbers numbers(std::initializer_list<std::pair<const char*, double>> values) {
  SamplingNumbers numbers;
  for (const auto& [name, value] : values) EXPECT_EQ(set_sampling_number(numbers, name, value), std::nullopt);
  return numbers;
}

TEST(Sampling, ALaterLayerWinsNumberByNumber) {
  const std::vector<SamplingLayer> layers = {
      {"gguf", numbers({{"temperature", 0.6}, {"top_k", 20}, {"repetition_penalty", 1.1}})},
      {"generation_config.json", {}},
      {"catalogue", numbers({{"temperature", 0.2}, {"top_p", 0.9}})},
      {"configuration", numbers({{"top_p", 1}, {"presence_penalty", -1}})}};
  const std::vector<SamplingDefault> wanted = {{"temperature", 0.2, "catalogue"},
                                               {"top_p", 1, "configuration"},
                                               {"top_k", 20, "gguf"},
                                               {"min_p", 0, "plain"},
                                               {"presence_penalty", -1, "configuration"},
                                               {"frequency_penalty", 0, "plain"},
                                               {"repetition_penalty", 1.1, "gguf"}};
  EXPECT_EQ(explain(layers), wanted);
  const SamplingParams params = merge(layers);
  EXPECT_EQ(params.temperature, 0.2);
  EXPECT_EQ(params.top_p, 1);
  EXPECT_EQ(params.top_k, 20);
  EXPECT_EQ(params.presence_penalty, -1);
  EXPECT_EQ(params.repetition_penalty, 1.1);
}

TEST(Sampling, IsPlainWhenNobodySaysOtherwise) {
  const SamplingParams params = merge({});
  EXPECT_EQ(params.temperature, 1);
  EXPECT_EQ(params.top_p, 1);
  EXPECT_EQ(params.top_k, 0);
  EXPECT_EQ(params.min_p, 0);
  EXPECT_EQ(params.presence_penalty, 0);
  EXPECT_EQ(params.frequency_penalty, 0);
  EXPECT_EQ(params.repetition_penalty, 1);
}

TEST(Sampling, ARequestsOwnNumbersWinAlsoWhereTheyAreTheNeutralOnes) {
  const SamplingParams defaults = merge({{"catalogue", numbers({{"temperature", 0}, {"top_p", 0.9}})}});
  SamplingRequest request;
  request.temperature = 1.0;
  const SamplingParams params = with(defaults, request);
  EXPECT_EQ(params.temperature, 1);
  EXPECT_EQ(params.top_p, 0.9);
}

TEST(Sampling, ANumberHasARange) {
  SamplingNumbers out;
  EXPECT_EQ(set_sampling_number(out, "temperature", 2.5), "must be at least 0 and at most 2, got 2.5");
  EXPECT_EQ(set_sampling_number(out, "temperature", std::numeric_limits<double>::quiet_NaN()),
            "must be at least 0 and at most 2, got nan");
  EXPECT_EQ(set_sampling_number(out, "top_p", 0), "must be above 0 and at most 1, got 0");
  EXPECT_EQ(set_sampling_number(out, "top_k", 1.5), "must be a whole number, got 1.5");
  EXPECT_EQ(set_sampling_number(out, "top_k", -2), "must be at least 0, got -2");
  EXPECT_EQ(set_sampling_number(out, "repetition_penalty", 11), "must be above 0 and at most 10, got 11");
  EXPECT_EQ(set_sampling_number(out, "mirostat", 1), "is no number of sampling");
  EXPECT_EQ(out, SamplingNumbers());
}

}  // namespace
}  // namespace autoglm
