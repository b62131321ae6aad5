#include "base/terminal.h"

#include <gtest/gtest.h>

#include <fcntl.h>
#include <unistd.h>
#include <cstdlib>
#include <string>

namespace autoglm {
namespace {

/// A pseudo terminal; the variables that describe a terminal are restored at the end.
class TerminalTest : public ::testing::Test {
 protected:
  TerminalTest() {
    descriptor_ = ::posix_openpt(O_RDWR | O_NOCTTY);
    ::unsetenv("NO_COLOR");
    ::setenv("TERM", "xterm-256color", 1);
  }
  void TearDown() override {
    ::close(descriptor_);
    ::unsetenv("NO_COLOR");
  }

  int descriptor_ = -1;
};

TEST_F(TerminalTest, ShowsColours) {
  ASSERT_TRUE(is_terminal(descriptor_));
  EXPECT_TRUE(shows_colours(descriptor_));
}

TEST_F(TerminalTest, ShowsNoneWhereTheyAreNotWanted) {
  ::setenv("NO_COLOR", "", 1);
  EXPECT_TRUE(shows_colours(descriptor_)) << "an empty NO_COLOR says nothing";
  ::setenv("NO_COLOR", "1", 1);
  EXPECT_FALSE(shows_colours(descriptor_));
  EXPECT_TRUE(obeys_escapes(descriptor_));
}

TEST_F(TerminalTest, ShowsNoneWhereTheyAreUnknown) {
  ::setenv("TERM", "dumb", 1);
  EXPECT_FALSE(shows_colours(descriptor_));
  EXPECT_FALSE(obeys_escapes(descriptor_));
  ::unsetenv("TERM");
  EXPECT_FALSE(shows_colours(descriptor_));
  EXPECT_FALSE(obeys_escapes(descriptor_));
}

TEST_F(TerminalTest, AFileIsNone) {
  const int file = ::open("/dev/null", O_RDWR);
  EXPECT_FALSE(is_terminal(file));
  EXPECT_FALSE(obeys_escapes(file));
  EXPECT_FALSE(shows_colours(file));
  ::close(file);
}

TEST(Paint, LeavesWordsAloneWhereThereAreNoColours) {
  EXPECT_EQ(Paint(false)(Style::kRed, "word"), "word");
  EXPECT_EQ(Paint(true)(Style::kRed, "word"), "\x1b[31mword\x1b[0m");
  EXPECT_EQ(Paint(true)(Style::kDim, ""), "");
}

}  // namespace
}  // namespace autoglm
