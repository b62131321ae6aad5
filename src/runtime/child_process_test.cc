#include "runtime/child_process.h"

#include "runtime/event_loop.h"
#include "runtime/handover.h"
#include "runtime/scope.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <iostream>
#include <iterator>
#include <string>

namespace autoglm {
namespace {

using namespace std::chrono_literals;
using ::testing::Contains;
using ::testing::ElementsAre;

/// The other process runs this very program, so its code is one of its tests, disabled in normal runs.
TEST(OtherProcess, DISABLED_SaysWhatItReadsAndStays) {
  std::cout << "input: " << std::string(std::istreambuf_iterator<char>(std::cin), {}) << std::endl;
  EventLoop loop;
  std::optional<HandoverListener> listener;
  std::optional<Scope> scope;
  loop.post([&] {
    listener.emplace(loop, ChildProcess::kHandover, [&] { loop.stop(); });
    listener->tell("here");
    scope.emplace();
    scope->spawn([](HandoverListener& from) -> Task<void> { co_await from.accept(); }(*listener));
  });
  loop.run();
  std::cout << "no newline at the end" << std::flush;
}

std::ptrdiff_t open_descriptors() {
  return std::distance(std::filesystem::directory_iterator("/proc/self/fd"),
                       std::filesystem::directory_iterator());
}

class ChildProcessTest : public ::testing::Test {
 protected:
  static std::unique_ptr<ChildProcess> start() {
    return ChildProcess::start({"other", "--gtest_filter=OtherProcess.*", "--gtest_also_run_disabled_tests"},
                               "some text", "the other")
        .value();
  }
  /// All news until `message` has come, or the end.
  ChildProcess::News hear(ChildProcess& child, const std::string& message) {
    ChildProcess::News all;
    while (!all.end && std::ranges::find(all.messages, message) == all.messages.end()) {
      auto news = child.wait(&wake_, std::chrono::steady_clock::now() + 10s);
      std::ranges::move(news.lines, std::back_inserter(all.lines));
      std::ranges::move(news.messages, std::back_inserter(all.messages));
      all.end = news.end;
    }
    return all;
  }

  WakeUpCall wake_;
};

TEST_F(ChildProcessTest, HearsAllThatItSaysAndBuriesIt) {
  const auto before = open_descriptors();
  auto child = start();
  auto news = hear(*child, "here");
  EXPECT_THAT(news.messages, ElementsAre("here"));
  child->dialer()->hang_up();
  const auto rest = hear(*child, "nothing");
  std::ranges::copy(rest.lines, std::back_inserter(news.lines));
  EXPECT_THAT(news.lines, Contains("input: some text"));
  ASSERT_TRUE(rest.end);
  EXPECT_EQ(rest.end->describe(), "ended with exit code 0");
  EXPECT_EQ(rest.end->label(), "exit_0");
  child.reset();
  EXPECT_EQ(open_descriptors(), before);
}

TEST_F(ChildProcessTest, TellsWhatKilledIt) {
  auto child = start();
  hear(*child, "here");
  child->kill();
  const auto news = hear(*child, "nothing");
  ASSERT_TRUE(news.end);
  EXPECT_EQ(news.end->describe(), "killed by signal 9 (SIGKILL)");
  EXPECT_EQ(news.end->label(), "SIGKILL");
}

TEST_F(ChildProcessTest, LeavesNoProcessBehind) {
  auto child = start();
  hear(*child, "here");
  const std::string place = "/proc/" + std::to_string(child->pid());
  EXPECT_TRUE(std::filesystem::exists(place));
  child.reset();
  EXPECT_FALSE(std::filesystem::exists(place));
}

TEST_F(ChildProcessTest, IsWokenWhileNothingIsSaid) {
  auto child = start();
  hear(*child, "here");
  wake_.ring();
  EXPECT_TRUE(wake_.rung());
  EXPECT_FALSE(child->wait(&wake_, std::chrono::steady_clock::now()).end);
}

}  // namespace
}  // namespace autoglm
