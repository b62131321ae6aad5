#include "engine/testing/vocabulary_conformance.h"

#include <algorithm>
#include <string>

namespace autoglm::engine {

VocabularyImplementation::VocabularyImplementation(const BackendImplementation& backend)
    : BackendImplementation(backend) {}

VocabularyConformance::~VocabularyConformance() = default;

namespace {

TEST_P(VocabularyConformance, TextSurvivesTheRoundTrip) {
  for (const std::string text : {"Hello, world", "你好，世界", "tab\tand\nline", "<|im_end|>"}) {
    std::string back;
    for (const TokenId token : vocabulary_.tokenize(text, false, false).value())
      back += vocabulary_.piece(token);
    EXPECT_EQ(back, text);
  }
}

TEST_P(VocabularyConformance, KnowsEachOfItsTokens) {
  const VocabularyFacts& facts = vocabulary_.facts();
  ASSERT_GT(facts.size, 0U);
  std::vector<TokenId> ends;
  for (TokenId token = 0; token < static_cast<TokenId>(facts.size); ++token) {
    if (vocabulary_.ends_generation(token)) ends.push_back(token);
    if (facts.longest_token == 0) continue;
    EXPECT_LE(vocabulary_.piece(token).size(), facts.longest_token) << token;
    EXPECT_LE(vocabulary_.written(token).size(), facts.longest_token) << token;
  }
  EXPECT_TRUE(std::ranges::equal(ends, vocabulary_.end_tokens()));
}

TEST_P(VocabularyConformance, SpecialTokensInATextStayTextUnlessTheyMayBeTokens) {
  for (const TokenId end : vocabulary_.end_tokens()) {
    const std::string_view written = vocabulary_.written(end);
    EXPECT_EQ(vocabulary_.tokenize(written, false, true).value(), (std::vector<TokenId>{end}));
    std::string text;
    for (const TokenId token : vocabulary_.tokenize(written, false, false).value())
      text += vocabulary_.piece(token);
    EXPECT_EQ(text, written);
  }
}

}  // namespace
}  // namespace autoglm::engine
