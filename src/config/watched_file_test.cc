#include "config/watched_file.h"

#include "runtime/testing/run_task.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace autoglm::config {
namespace {

using namespace std::chrono_literals;

class WatchedFileTest : public ::testing::Test {
 public:
  void write(const std::string& text) { std::ofstream(path_) << text; }

 protected:
  WatchedFileTest()
      : path_(std::filesystem::temp_directory_path() / ("watched-" + std::to_string(::getpid()))) {
    write("old");
    watched_.emplace(path_.string());
  }
  ~WatchedFileTest() override { std::filesystem::remove(path_); }

  /// A look, one second after the last.
  std::optional<std::string> look() { return watched_->changed(now_ += 1s); }

  std::filesystem::path path_;
  std::optional<WatchedFile> watched_;
  MonotonicTime now_;
};

TEST_F(WatchedFileTest, TellsWhatIsNewOnceWhenItHasStayedSo) {
  EXPECT_EQ(look(), std::nullopt);
  write("a new text");
  EXPECT_EQ(look(), std::nullopt);
  EXPECT_EQ(look(), std::nullopt);
  EXPECT_EQ(look(), "a new text");
  EXPECT_EQ(look(), std::nullopt);
}

TEST_F(WatchedFileTest, WaitsAsLongAsSomebodyWrites) {
  write("the first half");
  EXPECT_EQ(look(), std::nullopt);
  EXPECT_EQ(look(), std::nullopt);
  write("the first half, the second");
  for (int i = 0; i < 2; ++i) EXPECT_EQ(look(), std::nullopt);
  EXPECT_EQ(look(), "the first half, the second");
}

TEST_F(WatchedFileTest, WhatIsNoFileIsNoNewsAndNothingToWaitFor) {
  for (const bool folder : {true, false}) {
    std::filesystem::remove(path_);
    ASSERT_EQ(folder ? ::mkdir(path_.c_str(), 0700) : ::mkfifo(path_.c_str(), 0600), 0);
    for (int i = 0; i < 4; ++i) EXPECT_EQ(look(), std::nullopt);
    EventLoop loop;
    const auto taken = run_task(loop, watched_->take_when_whole(1ms, 1s));
    EXPECT_NE(taken.error().message.find("cannot be read"), std::string::npos);
  }
}

TEST(ReadConfigText, ReadsAByteMoreThanOneMayHave) {
  std::ifstream endless("/dev/zero", std::ios::binary);
  EXPECT_EQ(read_config_text(endless).size(), (std::size_t{1} << 20U) + 1);
}

/// As a tool does that writes in place and sets the time back.
TEST_F(WatchedFileTest, ComparesWhatIsWrittenAndNotItsTimeAlone) {
  write("one way");
  const auto time = std::filesystem::last_write_time(path_);
  EXPECT_EQ(look(), std::nullopt);
  EXPECT_EQ(look(), std::nullopt);
  write("two way");
  std::filesystem::last_write_time(path_, time);
  for (int i = 0; i < 2; ++i) EXPECT_EQ(look(), std::nullopt);
  EXPECT_EQ(look(), "two way");
}

TEST_F(WatchedFileTest, IsTakenWhenTwoLooksFindTheSame) {
  EventLoop loop;
  int left = 5;
  const auto taken = run_task(loop, [&]() -> Task<Result<std::string>> {
    // Writes something else at each turn of the loop, and so before each look, while parts are left.
    Scope writing;
    writing.spawn([](WatchedFileTest& test, int& parts) -> Task<void> {
      for (; parts > 0; --parts, co_await sleep_for(1ms)) test.write("part " + std::to_string(parts));
      test.write("all of it");
    }(*this, left));
    co_return co_await watched_->take_when_whole(50ms, 1h);
  }());
  EXPECT_EQ(taken.value(), "all of it");
  for (int i = 0; i < 5; ++i) EXPECT_EQ(look(), std::nullopt) << "it has been dealt with";
}

TEST_F(WatchedFileTest, IsNotTakenWhileItChanges) {
  EventLoop loop;
  const auto taken = run_task(loop, [&]() -> Task<Result<std::string>> {
    Scope writing;
    writing.spawn([](WatchedFileTest& test) -> Task<void> {
      for (int n = 0;; ++n, co_await yield_to_loop()) test.write("part " + std::to_string(n));
    }(*this));
    co_return co_await watched_->take_when_whole(1ms, 20ms);
  }());
  EXPECT_EQ(taken.error().code, ErrorCode::kUnavailable);
  EXPECT_NE(taken.error().message.find("is being written to"), std::string::npos);
  std::filesystem::remove(path_);
  EXPECT_EQ(run_task(loop, watched_->take_when_whole(1ms, 20ms)).error().code, ErrorCode::kInvalidArgument);
}

TEST_F(WatchedFileTest, IsSilentOfWhatIsGoneAndOfWhatWasTaken) {
  std::filesystem::remove(path_);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(look(), std::nullopt);
  write("back");
  EXPECT_EQ(look(), std::nullopt);
  EventLoop loop;
  EXPECT_TRUE(run_task(loop, watched_->take_when_whole(1ms, 1h)));
  for (int i = 0; i < 5; ++i) EXPECT_EQ(look(), std::nullopt);
}

}  // namespace
}  // namespace autoglm::config
