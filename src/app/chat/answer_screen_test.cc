#include "app/chat/answer_screen.h"

#include <gtest/gtest.h>

namespace autoglm::app {
namespace {

using namespace std::chrono_literals;

TEST(AnswerScreen, ObeysNothingInATerminal) {
  AnswerScreen screen(true, Paint(false));
  EXPECT_EQ(screen.next({.content = "a\x1b[2J\r\n\tb\u4f60"}), "a [2J \n\tb\u4f60");
  EXPECT_EQ(screen.end(), "\n");
}

TEST(AnswerScreen, LeavesTextAloneElsewhere) {
  AnswerScreen screen(false, Paint(false));
  EXPECT_EQ(screen.next({.content = "a\x1b[2J"}), "a\x1b[2J");
  EXPECT_EQ(screen.next({.reasoning = "hm"}), "");
}

TEST(AnswerScreen, SetsThoughtsApart) {
  AnswerScreen screen(true, Paint(true));
  EXPECT_EQ(screen.next({.reasoning = "hm"}), "\x1b[2mhm\x1b[0m");
  EXPECT_EQ(screen.next({.content = "Paris"}), "\n\nParis");
  EXPECT_EQ(screen.next({.content = "."}), ".");
}

TEST(AnswerScreen, EndsALineOnlyWhereThereIsOne) {
  AnswerScreen screen(true, Paint(false));
  EXPECT_EQ(screen.end(), "");
  screen.next({.content = "x"});
  EXPECT_EQ(screen.end(), "\n");
  EXPECT_EQ(screen.end(), "");
}

TEST(SpeedLine, SaysWhatIsKnown) {
  const MonotonicTime asked(100s);
  Answer answer{
      .finish = "stop", .tokens = 24, .asked = asked, .first = asked + 210ms, .last = asked + 710ms};
  EXPECT_EQ(speed_line(answer, false), "(24 tokens, 46.0 tokens/s, first after 0.21 s)");
  answer.finish = "length";
  EXPECT_EQ(speed_line(answer, false),
            "(24 tokens, 46.0 tokens/s, first after 0.21 s, cut off: no more tokens allowed)");
  answer.tokens.reset();
  EXPECT_EQ(speed_line(answer, true), "(first after 0.21 s, stopped)");
  EXPECT_EQ(speed_line({.tokens = 1}, false), "(1 token)");
  EXPECT_EQ(speed_line({}, false), "");
}

}  // namespace
}  // namespace autoglm::app
