#include "app/chat/chat_history.h"

#include <gtest/gtest.h>

#include <sys/stat.h>
#include <unistd.h>
#include <fstream>

namespace autoglm::app {
namespace {

class ChatHistoryTest : public ::testing::Test {
 protected:
  void TearDown() override { std::filesystem::remove_all(root_); }

  static mode_t mode_of(const std::filesystem::path& path) {
    struct stat info{};
    EXPECT_EQ(::stat(path.c_str(), &info), 0);
    return info.st_mode & 0777U;
  }

  std::filesystem::path root_ =
      std::filesystem::temp_directory_path() / ("chat-history-" + std::to_string(::getpid()));
  std::filesystem::path file_ = root_ / "state" / "chat_history";
  ChatHistory history_{file_};
};

TEST_F(ChatHistoryTest, KeepsMessagesWithTheirLines) {
  EXPECT_TRUE(history_.load().empty());
  history_.add("one");
  history_.add("two\nlines \"quoted\" \u4f60");
  EXPECT_EQ(ChatHistory(file_).load(), (std::vector<std::string>{"one", "two\nlines \"quoted\" \u4f60"}));
}

TEST_F(ChatHistoryTest, IsForItsOwnerOnly) {
  history_.add("secret");
  EXPECT_EQ(mode_of(file_), 0600U);
  EXPECT_EQ(mode_of(file_.parent_path()), 0700U);
  ::chmod(file_.c_str(), 0644);
  history_.add("more");
  EXPECT_EQ(mode_of(file_), 0600U);
}

TEST_F(ChatHistoryTest, IsBounded) {
  for (std::size_t i = 0; i <= 2 * ChatHistory::kEntries; ++i) history_.add(std::to_string(i));
  const auto newest = history_.load();
  ASSERT_EQ(newest.size(), ChatHistory::kEntries);
  EXPECT_EQ(newest.back(), std::to_string(2 * ChatHistory::kEntries));
  std::ifstream file(file_);
  std::size_t lines = 0;
  for (std::string line; std::getline(file, line);) ++lines;
  EXPECT_EQ(lines, ChatHistory::kEntries);
  EXPECT_EQ(mode_of(file_), 0600U);
  history_.add(std::string(ChatHistory::kLongestEntry + 1, 'x'));
  EXPECT_EQ(history_.load(), newest);
}

TEST_F(ChatHistoryTest, SkipsWhatIsNoEntry) {
  history_.add("one");
  std::ofstream(file_, std::ios::app) << "half a li\n7\n\n";
  history_.add("two");
  EXPECT_EQ(history_.load(), (std::vector<std::string>{"one", "two"}));
}

TEST_F(ChatHistoryTest, TalksWithoutAFile) {
  ChatHistory nowhere(std::nullopt);
  nowhere.add("one");
  EXPECT_TRUE(nowhere.load().empty());
  ChatHistory forbidden(std::filesystem::path("/proc/nowhere/chat_history"));
  forbidden.add("one");
  EXPECT_TRUE(forbidden.load().empty());
}

TEST(ChatHistoryPath, FollowsTheBaseDirectories) {
  EXPECT_EQ(chat_history_path({{"XDG_STATE_HOME", "/s"}, {"HOME", "/h"}}), "/s/open-autoglm/chat_history");
  EXPECT_EQ(chat_history_path({{"HOME", "/h"}}), "/h/.local/state/open-autoglm/chat_history");
  EXPECT_EQ(chat_history_path({{"XDG_STATE_HOME", "relative"}, {"HOME", "/h"}}),
            "/h/.local/state/open-autoglm/chat_history");
  EXPECT_EQ(chat_history_path({}), std::nullopt);
}

}  // namespace
}  // namespace autoglm::app
