#include "engine/models/generation_config.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace autoglm::engine {
namespace {

// As published by Qwen.
constexpr std::string_view kQwen = R"({
  "bos_token_id": 151643,
  "pad_token_id": 151643,
  "do_sample": true,
  "eos_token_id": [151645, 151643],
  "repetition_penalty": 1.1,
  "temperature": 0.7,
  "top_p": 0.8,
  "top_k": 20,
  "transformers_version": "4.37.0"
})";

TEST(GenerationConfig, ReadsWhatModelsArePublishedWith) {
  const auto config = parse_generation_config(kQwen);
  ASSERT_TRUE(config) << config.error().message;
  SamplingNumbers wanted;
  wanted.temperature = 0.7;
  wanted.top_p = 0.8;
  wanted.top_k = 20;
  wanted.repetition_penalty = 1.1;
  EXPECT_EQ(config->sampling, wanted);
  EXPECT_TRUE(config->remarks.empty());
}

TEST(GenerationConfig, TakesAnExplicitNoToSamplingForGreedy) {
  EXPECT_EQ(parse_generation_config(R"({"do_sample": false, "temperature": 0.6})")->sampling.temperature, 0);
  EXPECT_EQ(parse_generation_config(R"({"temperature": 0.6})")->sampling.temperature, 0.6);
  EXPECT_EQ(parse_generation_config("{}")->sampling, SamplingNumbers());
}

TEST(GenerationConfig, LeavesOutWhatCannotBeAndSaysSo) {
  const auto config = parse_generation_config(
      R"({"temperature": 3, "top_p": "high", "top_k": 2.5, "min_p": null, "repetition_penalty": 1.2})");
  ASSERT_TRUE(config) << config.error().message;
  SamplingNumbers wanted;
  wanted.repetition_penalty = 1.2;
  EXPECT_EQ(config->sampling, wanted);
  EXPECT_EQ(config->remarks,
            (std::vector<std::string>{"temperature must be at least 0 and at most 2, got 3",
                                      "top_p must be a number", "top_k must be a whole number, got 2.5"}));
}

TEST(GenerationConfig, ReadsEitherWordForNoTopK) {
  EXPECT_EQ(parse_generation_config(R"({"top_k": -1})")->sampling.top_k, 0);
  EXPECT_EQ(parse_generation_config(R"({"top_k": 0})")->sampling.top_k, 0);
}

TEST(GenerationConfig, RefusesWhatIsNoJsonObject) {
  EXPECT_EQ(parse_generation_config("temperature: 1").error().code, ErrorCode::kDataLoss);
  EXPECT_EQ(parse_generation_config("[1]").error().code, ErrorCode::kDataLoss);
  EXPECT_EQ(parse_generation_config("").error().code, ErrorCode::kDataLoss);
}

TEST(GenerationConfig, IsTheOneBesideTheModel) {
  const std::filesystem::path folder =
      std::filesystem::path(::testing::TempDir()) / ("generation_config_" + std::to_string(::getpid()));
  std::filesystem::create_directories(folder);
  EXPECT_EQ(generation_config_beside(folder / "m.gguf")->sampling, SamplingNumbers());
  std::ofstream(folder / "generation_config.json") << kQwen;
  EXPECT_EQ(generation_config_beside(folder / "m.gguf")->sampling.top_k, 20);
  std::ofstream(folder / "generation_config.json") << "<html>";
  const auto broken = generation_config_beside(folder / "m.gguf");
  ASSERT_FALSE(broken);
  EXPECT_NE(broken.error().message.find((folder / "generation_config.json").string()), std::string::npos);
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace autoglm::engine
