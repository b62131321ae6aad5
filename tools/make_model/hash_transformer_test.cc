#include "hash_transformer.h"

#include "generation.h"
#include "vocabulary.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <ostream>
#include <set>

namespace autoglm::make_model {
namespace {

const LoadedModel& fixture() {
  static const LoadedModel model(AUTOGLM_TINY_MODEL);
  return model;
}

std::vector<Tokens> some_prompts() {
  std::string long_prompt;
  for (int i = 0; i < 60; ++i) long_prompt += fmt::format(" line {} of the river,\n", i);
  std::vector<Tokens> prompts;
  for (const std::string& text :
       {std::string("Hello, how can I help?"), std::string("The quick brown fox jumps over the lazy dog"),
        std::string("def main():\n    return 0\n"), std::string("你好，世界 🙂"), std::string(), long_prompt,
        std::string("<|im_start|>user\nWho are you?<|im_end|>\n<|im_start|>assistant\n")}) {
    prompts.push_back(fixture().tokenize(text));
  }
  return prompts;
}

/// By how much the best logit leads the second best, at the step with the smallest lead.
float least_gap(const std::vector<std::vector<float>>& steps) {
  float least = std::numeric_limits<float>::max();
  for (std::vector<float> logits : steps) {
    std::ranges::partial_sort(logits, logits.begin() + 2, std::greater{});
    least = std::min(least, logits[0] - logits[1]);
  }
  return least;
}

float largest_difference(const std::vector<std::vector<float>>& a, const std::vector<std::vector<float>>& b) {
  float largest = 0;
  for (std::size_t step = 0; step < a.size(); ++step) {
    for (std::size_t i = 0; i < a[step].size(); ++i)
      largest = std::max(largest, std::abs(a[step][i] - b[step][i]));
  }
  return largest;
}

std::string bytes_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator(file), {}};
}

struct Case {
  const char* name;
  RunSettings settings;
};

void PrintTo(const Case& parameter, std::ostream* out) { *out << parameter.name; }

class HashTransformerIn : public testing::TestWithParam<Case> {};

TEST_P(HashTransformerIn, SaysTheSameAloneAndInABatch) {
  constexpr int kSteps = 300;
  const std::vector<Tokens> prompts = some_prompts();
  RunSettings batched = GetParam().settings;
  batched.prefill_chunk = 7;  // so that some prompts are still being read while other sequences generate
  const auto together = fixture().generate(prompts, kSteps, batched);
  float gap = std::numeric_limits<float>::max();
  float noise = 0;
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    const Generated alone = fixture().generate({prompts[i]}, kSteps, GetParam().settings)[0];
    ASSERT_EQ(fixture().detokenize(alone.tokens), fixture().detokenize(together[i].tokens)) << "prompt " << i;
    gap = std::min({gap, least_gap(alone.logits), least_gap(together[i].logits)});
    noise = std::max(noise, largest_difference(alone.logits, together[i].logits));
  }
  fmt::print("{}: least gap {:.4f}, largest difference alone and batched {:.2e}\n", GetParam().name, gap,
             noise);
  EXPECT_GE(gap, 2.5F);
  EXPECT_GE(gap, 100 * noise);
}

INSTANTIATE_TEST_SUITE_P(EveryCache, HashTransformerIn,
                         testing::Values(Case{"F16Flash", {.cache = GGML_TYPE_F16, .flash_attention = true}},
                                         Case{"F16Plain", {.cache = GGML_TYPE_F16, .flash_attention = false}},
                                         Case{"F32Flash", {.cache = GGML_TYPE_F32, .flash_attention = true}},
                                         Case{"Q8Flash", {.cache = GGML_TYPE_Q8_0, .flash_attention = true}}),
                         [](const auto& info) { return info.param.name; });

TEST(HashTransformer, DrawsTheSameFromASeedAloneAndInABatch) {
  constexpr int kSteps = 200;
  const std::vector<Tokens> prompts = some_prompts();
  const auto together = fixture().generate(prompts, kSteps, {.prefill_chunk = 7}, choose_by_seed(42));
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    EXPECT_EQ(fixture().generate({prompts[i]}, kSteps, {}, choose_by_seed(42))[0].tokens, together[i].tokens);
  }
  EXPECT_NE(fixture().generate({prompts[0]}, kSteps, {}, choose_by_seed(43))[0].tokens, together[0].tokens);
}

TEST(HashTransformer, DependsOnEveryTokenOfALongContext) {
  constexpr int kSteps = 8;
  std::string text;
  while (fixture().tokenize(text).size() < 3500)
    text += " the water of the river said: two people live there.\n";
  const Tokens prompt = fixture().tokenize(text);
  const Tokens expected = fixture().generate({prompt}, kSteps)[0].tokens;
  std::set<Tokens> others;
  int changed = 0;
  for (std::size_t i = 0; i < prompt.size(); i = i * 2 + 1) {
    Tokens altered = prompt;
    altered[i] = altered[i] == 100 ? 101 : 100;
    others.insert(fixture().generate({altered}, kSteps)[0].tokens);
    ++changed;
  }
  Tokens swapped = prompt;
  std::swap(swapped[1], swapped[2]);
  others.insert(fixture().generate({swapped}, kSteps)[0].tokens);
  EXPECT_EQ(others.size(), static_cast<std::size_t>(changed) + 1) << "two different contexts went on alike";
  EXPECT_FALSE(others.contains(expected));
}

TEST(HashTransformer, NeitherEndsNorRepeatsItself) {
  constexpr int kSteps = 1000;
  for (const Generated& generated : fixture().generate(some_prompts(), kSteps)) {
    std::set<llama_token> distinct(generated.tokens.begin(), generated.tokens.end());
    EXPECT_GE(distinct.size(), 120U);
    EXPECT_TRUE(std::ranges::none_of(generated.tokens, [](llama_token token) {
      return llama_vocab_is_eog(fixture().vocabulary(), token);
    }));
    // No cycle: of 1000 windows of four words, nearly all are new.
    std::set<Tokens> windows;
    for (std::size_t i = 0; i + 4 <= generated.tokens.size(); ++i) {
      windows.emplace(generated.tokens.begin() + static_cast<std::ptrdiff_t>(i),
                      generated.tokens.begin() + static_cast<std::ptrdiff_t>(i) + 4);
    }
    EXPECT_GE(windows.size(), 990U);
  }
}

TEST(HashTransformer, SaysMostlyPrintableAsciiThatTokenizesToItself) {
  for (const Generated& generated : fixture().generate(some_prompts(), 300)) {
    const std::string text = fixture().detokenize(generated.tokens);
    EXPECT_EQ(fixture().tokenize(text, /*add_special=*/false), generated.tokens) << text;
    const auto printable =
        std::ranges::count_if(text, [](char c) { return (c >= ' ' && c <= '~') || c == '\n'; });
    EXPECT_GE(printable * 10, static_cast<std::ptrdiff_t>(text.size()) * 9) << text;
  }
}

TEST(Vocabulary, HasChatMlTokensAndCarriesAnyText) {
  const llama_vocab* vocabulary = fixture().vocabulary();
  EXPECT_EQ(llama_vocab_bos(vocabulary), Vocabulary::kEndOfText);
  EXPECT_EQ(llama_vocab_eos(vocabulary), Vocabulary::kImEnd);
  EXPECT_TRUE(llama_vocab_get_add_bos(vocabulary));
  EXPECT_EQ(llama_model_n_ctx_train(fixture().get()), 4096);
  EXPECT_THAT(llama_model_chat_template(fixture().get(), nullptr),
              testing::HasSubstr("<|im_start|>assistant"));
  EXPECT_THAT(fixture().tokenize("<|im_start|>the<|im_end|>", false),
              testing::AllOf(testing::Contains(Vocabulary::kImStart), testing::Contains(Vocabulary::kImEnd)));
  EXPECT_THAT(fixture().tokenize("<|im_end|>", false, /*parse_special=*/false),
              testing::Not(testing::Contains(Vocabulary::kImEnd)));
  EXPECT_EQ(fixture().detokenize(fixture().tokenize("\t naïve 你好 🙂 \r\n 42", false)),
            "\t naïve 你好 🙂 \r\n 42");
  EXPECT_EQ(fixture().detokenize(fixture().tokenize("\xff", false)), "\xef\xbf\xbd")
      << "not UTF-8: U+FFFD stands in";
}

TEST(WriteHashTransformer, GivesTheSameBytesForASeedAndOthersForAnother) {
  const auto make = [](std::uint64_t seed, const std::string& name) {
    const std::string path = testing::TempDir() + "/" + name;
    EXPECT_TRUE(write_hash_transformer(path, GGML_TYPE_F32, seed).has_value());
    std::string bytes = bytes_of(path);
    std::filesystem::remove(path);
    return bytes;
  };
  const std::string once = make(1, "once.gguf");
  EXPECT_FALSE(once.empty());
  EXPECT_TRUE(once == make(1, "twice.gguf"));
  EXPECT_FALSE(once == make(2, "other.gguf"));
  EXPECT_TRUE(once == bytes_of(AUTOGLM_TINY_MODEL));
}

TEST(WriteHashTransformer, RefusesCoarseTypesAndUnwritablePaths) {
  const auto coarse = write_hash_transformer(testing::TempDir() + "/coarse.gguf", GGML_TYPE_Q4_0, 1);
  ASSERT_FALSE(coarse.has_value());
  EXPECT_EQ(coarse.error().code, ErrorCode::kInvalidArgument);
  const std::string path = testing::TempDir() + "/no-such-folder/tiny.gguf";
  const auto nowhere = write_hash_transformer(path, GGML_TYPE_F32, 1);
  ASSERT_FALSE(nowhere.has_value());
  EXPECT_THAT(nowhere.error().message, testing::HasSubstr(path));
}

TEST(WriteHashTransformer, SaysTheSameInQ8) {
  const std::string path = testing::TempDir() + "/tiny_q8.gguf";
  ASSERT_TRUE(write_hash_transformer(path, GGML_TYPE_Q8_0, 1).has_value());
  const LoadedModel quantized(path);
  std::filesystem::remove(path);
  const auto prompts = some_prompts();
  EXPECT_EQ(quantized.generate(prompts, 100)[0].tokens, fixture().generate(prompts, 100)[0].tokens);
}

}  // namespace
}  // namespace autoglm::make_model
