#include "app/pull_progress.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

namespace autoglm::app {
namespace {

TEST(PullProgress, WritesALineForEachTenthWhereThereIsNoTerminal) {
  PullProgress progress(0);
  std::string all;
  for (std::uint64_t done = 0; done <= 1000; ++done) all += progress.next(done, 1000, 1);
  EXPECT_TRUE(all.starts_with("10 % of 1000 B\n20 % of 1000 B\n")) << all;
  EXPECT_TRUE(all.ends_with("\n100 % of 1000 B\n")) << all;
  EXPECT_EQ(std::count(all.begin(), all.end(), '\n'), 10);
  EXPECT_EQ(all.find('\r'), std::string::npos);
}

TEST(PullProgress, LeavesOutTenthsThatPassedAtOnce) {
  PullProgress progress(0);
  EXPECT_EQ(progress.next(550, 1000, 1), "50 % of 1000 B\n");
  EXPECT_EQ(progress.next(599, 1000, 1), "");
  EXPECT_EQ(progress.next(1000, 1000, 1), "100 % of 1000 B\n");
  EXPECT_EQ(progress.next(1000, 1000, 1), "");
}

TEST(PullProgress, DrawsABarThatFitsItsTerminal) {
  PullProgress progress(80);
  EXPECT_EQ(progress.next(0, 1024, 0), "");
  progress.next(1, 1024, 0);
  const std::string half = progress.next(513, 1024, 1);
  EXPECT_NE(half.find("50 % of 1.0 KiB, 512 B/s 0:00 left"), std::string::npos) << half;
  EXPECT_LE(half.size(), 80 + 4U);
  EXPECT_EQ(PullProgress(20).next(513, 1024, 1).find('#'), std::string::npos);
}

TEST(PullProgress, SaysNothingAboutASpeedThatIsNotKnown) {
  PullProgress progress(80);
  const std::string resumed = progress.next(512, 1024, 1);  // of an earlier pull
  EXPECT_TRUE(resumed.ends_with(" 50 % of 1.0 KiB\x1b[K")) << resumed;
}

TEST(PullProgress, MakesRoomForOtherWords) {
  PullProgress progress(80);
  EXPECT_EQ(progress.clear(), "");
  progress.next(1, 2, 0);
  EXPECT_EQ(progress.clear(), "\r\x1b[K");
  EXPECT_EQ(progress.clear(), "");
}

}  // namespace
}  // namespace autoglm::app
