#include "gateway/admission/usage/live_usage_index.h"

#include "journal/testing/scratch_journal.h"
#include "runtime/testing/run_task.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <string>
#include <thread>

namespace autoglm::gateway {
namespace {

using namespace std::chrono_literals;

class LiveUsageIndexTest : public ::testing::Test {
 protected:
  void SetUp() override {
    scratch_.options.sync = journal::Sync::kEachCommit;
    journal_ = scratch_.open();
  }
  std::unique_ptr<LiveUsageIndex> make() {
    return std::make_unique<LiveUsageIndex>(UsageIndex::Options{.path = path()}, *journal_, *scratch_.log,
                                            scratch_.metrics, 1ms);
  }
  std::string path() const { return scratch_.folder.path() + "/usage.db"; }
  void add() {
    const std::string payload =
        to_bytes({.time = std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now()),
                  .request_id = "r",
                  .key = "a",
                  .completion_tokens = 1});
    ASSERT_TRUE(append_on(loop_, *journal_, {.kind = kUsageRecordKind, .payload = payload}));
  }
  std::uint64_t requests(LiveUsageIndex& index) {
    const auto rows = run_task(loop_, index.query({.by_key = true}));
    return rows && rows->size() == 1 ? rows->at(0).sums.requests : 0;
  }
  /// What the file has, as another process reads it.
  bool has_position(std::int64_t position) const {
    auto reader = sqlite::Database::open(path(), {.mode = sqlite::Database::Mode::kReadOnly});
    if (!reader) return false;
    auto found = reader->prepare("SELECT next FROM position");
    return found && found->step().value_or(false) && found->number(0) == position;
  }

  EventLoop loop_;
  journal::ScratchJournal scratch_;
  std::unique_ptr<journal::Journal> journal_;
};

TEST_F(LiveUsageIndexTest, AThreadKeepsItUpToDate) {
  const auto index = make();
  for (unsigned i = 1; i <= 4; ++i) {
    add();
    EXPECT_EQ(requests(*index), i);
  }
  while (!has_position(5)) std::this_thread::yield();
  EXPECT_EQ(requests(*index), 4U);
}

TEST_F(LiveUsageIndexTest, WhatIsThereAtItsEndIsInTheFile) {
  auto index = std::make_unique<LiveUsageIndex>(UsageIndex::Options{.path = path()}, *journal_, *scratch_.log,
                                                scratch_.metrics, std::chrono::hours(1));
  EXPECT_EQ(requests(*index), 0U);
  while (!has_position(1)) std::this_thread::yield();
  add();
  index.reset();
  EXPECT_TRUE(has_position(2));
}

TEST_F(LiveUsageIndexTest, GoesOnWhenItsDiskWorksAgain) {
  std::filesystem::create_directory(path());
  add();
  const auto index = make();
  while (scratch_.counter("autoglm_usage_index_failures_total") == 0) std::this_thread::yield();
  EXPECT_EQ(run_task(loop_, index->query({})).error().code, ErrorCode::kUnavailable);
  std::filesystem::remove(path());
  while (!has_position(2)) std::this_thread::yield();
  EXPECT_EQ(requests(*index), 1U);
}

}  // namespace
}  // namespace autoglm::gateway
