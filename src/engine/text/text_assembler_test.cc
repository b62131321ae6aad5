#include "engine/text/text_assembler.h"

#include "base/random.h"

#include <gtest/gtest.h>

namespace autoglm::engine {
namespace {

TEST(TextAssembler, JoinsCharactersThatComeInPieces) {
  TextAssembler assembler({}, false);
  std::string out;
  EXPECT_FALSE(assembler.add("\xe4\xbd", out));
  EXPECT_EQ(out, "");
  EXPECT_FALSE(assembler.add("\xa0!", out));
  EXPECT_EQ(out, "\u4f60!");
}

TEST(TextAssembler, ReplacesACharacterThatNeverEnds) {
  TextAssembler assembler({}, false);
  std::string out;
  assembler.add("a\xe4\xbd", out);
  assembler.finish(out);
  EXPECT_EQ(out, "a\uFFFD");
}

TEST(TextAssembler, HoldsBackWhatMayBecomeAStopString) {
  TextAssembler assembler({"END"}, false);
  std::string out;
  EXPECT_FALSE(assembler.add("one E", out));
  EXPECT_EQ(out, "one ");
  EXPECT_FALSE(assembler.add("N", out));
  EXPECT_EQ(out, "one ");
  EXPECT_FALSE(assembler.add("T", out));
  EXPECT_EQ(out, "one ENT");
  EXPECT_FALSE(assembler.add("E", out));
  EXPECT_TRUE(assembler.add("ND more", out));
  EXPECT_EQ(out, "one ENT");
}

TEST(TextAssembler, MayKeepTheStopString) {
  TextAssembler assembler({"\n"}, true);
  std::string out;
  EXPECT_TRUE(assembler.add("a\nb", out));
  EXPECT_EQ(out, "a\n");
}

TEST(TextAssembler, TheStopStringThatBeginsFirstWins) {
  TextAssembler assembler({"cd", "bcd"}, false);
  std::string out;
  EXPECT_TRUE(assembler.add("abcd", out));
  EXPECT_EQ(out, "a");
}

TEST(TextAssembler, GivesBackWhatItHeldWhenTheGenerationEnds) {
  TextAssembler assembler({"END"}, false);
  std::string out;
  assembler.add("one EN", out);
  assembler.finish(out);
  EXPECT_EQ(out, "one EN");
}

TEST(TextAssembler, DoesNotDependOnHowTheBytesAreCut) {
  Random random(7);
  const std::string text = "ab\u4f60abaab\u597dbab stop aab";
  for (int round = 0; round < 2000; ++round) {
    TextAssembler assembler({"stop", "abz"}, false);
    std::string out;
    std::size_t position = 0;
    bool stopped = false;
    while (position < text.size() && !stopped) {
      const std::size_t step = 1 + random.below(4);
      stopped = assembler.add(std::string_view(text).substr(position, step), out);
      position += step;
    }
    ASSERT_TRUE(stopped);
    ASSERT_EQ(out, "ab\u4f60abaab\u597dbab ");
  }
}

}  // namespace
}  // namespace autoglm::engine
