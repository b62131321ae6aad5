#include "engine/text/text_assembler.h"

#include "base/random.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace autoglm::engine {
namespace {

TextAssembler ending_at(std::vector<std::string> stop, bool include_stop) {
  return {std::make_shared<const std::vector<std::string>>(std::move(stop)), include_stop};
}

TEST(TextAssembler, JoinsCharactersThatComeInPieces) {
  TextAssembler assembler = ending_at({}, false);
  std::string out;
  EXPECT_FALSE(assembler.add("\xe4\xbd", out));
  EXPECT_EQ(out, "");
  EXPECT_FALSE(assembler.add("\xa0!", out));
  EXPECT_EQ(out, "\u4f60!");
}

TEST(TextAssembler, ReplacesACharacterThatNeverEnds) {
  TextAssembler assembler = ending_at({}, false);
  std::string out;
  assembler.add("a\xe4\xbd", out);
  assembler.finish(out);
  EXPECT_EQ(out, "a\uFFFD");
}

TEST(TextAssembler, HoldsBackWhatMayBecomeAStopString) {
  TextAssembler assembler = ending_at({"END"}, false);
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
  TextAssembler assembler = ending_at({"\n"}, true);
  std::string out;
  EXPECT_TRUE(assembler.add("a\nb", out));
  EXPECT_EQ(out, "a\n");
}

TEST(TextAssembler, TheStopStringThatBeginsFirstWins) {
  TextAssembler assembler = ending_at({"cd", "bcd"}, false);
  std::string out;
  EXPECT_TRUE(assembler.add("abcd", out));
  EXPECT_EQ(out, "a");
}

TEST(TextAssembler, TellsWhichStopStringItWas) {
  TextAssembler assembler = ending_at({"cd", "bcd"}, false);
  std::string out;
  EXPECT_FALSE(assembler.add("ab", out));
  EXPECT_EQ(assembler.found(), nullptr);
  EXPECT_TRUE(assembler.add("cd", out));
  ASSERT_NE(assembler.found(), nullptr);
  EXPECT_EQ(*assembler.found(), "bcd");
}

TEST(TextAssembler, GivesBackWhatItHeldWhenTheGenerationEnds) {
  TextAssembler assembler = ending_at({"END"}, false);
  std::string out;
  assembler.add("one EN", out);
  assembler.finish(out);
  EXPECT_EQ(out, "one EN");
}

TEST(TextAssembler, DoesNotDependOnHowTheBytesAreCut) {
  Random random(7);
  const std::string text = "ab\u4f60abaab\u597dbab stop aab";
  for (int round = 0; round < 2000; ++round) {
    TextAssembler assembler = ending_at({"stop", "abz"}, false);
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
