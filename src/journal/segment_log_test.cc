#include "journal/segment_log.h"

#include "journal/testing/scratch_journal.h"

#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

namespace autoglm::journal {
namespace {

using namespace std::chrono_literals;

class SegmentLogTest : public ::testing::Test {
 public:
  void open(SegmentLog::Options options = {}) {
    log_.reset();
    storage_.reset();
    storage_ = make_faulty(folder_.storage(), faults_);
    log_ = SegmentLog::open(*storage_, options, recover_end(*storage_).value()).value();
  }
  Result<void> write(const std::vector<std::string>& payloads, bool durable = false) {
    std::string frames;
    for (const std::string& payload : payloads) append_frame(frames, {.kind = 1, .payload = payload});
    return log_->write(frames, durable);
  }
  std::vector<std::string> read() {
    std::vector<std::string> all;
    const auto replayed = replay_segments(*storage_, 1, log_->next_sequence(),
                                          [&](const Record& record) { all.emplace_back(record.payload); });
    EXPECT_TRUE(replayed->losses.empty());
    return all;
  }
  std::size_t segments() { return list_segments(*storage_)->size(); }

  ScratchFolder folder_;
  std::shared_ptr<DiskFaults> faults_ = std::make_shared<DiskFaults>();
  std::unique_ptr<Storage> storage_;
  std::unique_ptr<SegmentLog> log_;
};

TEST_F(SegmentLogTest, ALongSegmentGivesWayToTheNext) {
  open({.segment_bytes = 100});
  std::vector<std::string> all;
  for (int i = 0; i < 20; ++i) {
    all.push_back(std::string(30, static_cast<char>('a' + i)));
    ASSERT_TRUE(write({all.back()}));
  }
  EXPECT_EQ(segments(), 10U);
  EXPECT_EQ(read(), all);
  open({.segment_bytes = 100});
  EXPECT_EQ(log_->next_sequence(), 21U);
  ASSERT_TRUE(write({"last"}));
  all.emplace_back("last");
  EXPECT_EQ(read(), all);
}

TEST_F(SegmentLogTest, RetentionRemovesOldSegmentsButNeverTheCurrentOne) {
  open({.segment_bytes = 50, .retention = 1h});
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(write({std::string(50, 'x')}));
  ASSERT_EQ(segments(), 5U);
  const auto now = std::chrono::system_clock::now();
  EXPECT_EQ(log_->expire(now).value(), 0U);
  const auto all = list_segments(*storage_).value();
  std::filesystem::last_write_time(folder_.path() + "/" + all[0].name,
                                   std::filesystem::file_time_type::clock::now() - 2h);
  EXPECT_EQ(log_->expire(now).value(), 1U);
  EXPECT_EQ(segments(), 4U);
  EXPECT_EQ(log_->expire(now + 3h).value(), 4U) << "the current one was old, and gave way to an empty one";
  EXPECT_EQ(segments(), 1U);
  EXPECT_EQ(log_->expire(now + 9h).value(), 0U);
  open();
  EXPECT_EQ(log_->next_sequence(), 6U) << "numbers survive the records";
}

TEST_F(SegmentLogTest, AFailedWriteLeavesNothingBehind) {
  open();
  ASSERT_TRUE(write({"one"}));
  faults_->set_free_bytes(30);
  EXPECT_FALSE(write({"two", "three", "four"}));
  faults_->set_free_bytes(DiskFaults::kNoLimit);
  ASSERT_TRUE(write({"2"}));
  EXPECT_EQ(read(), (std::vector<std::string>{"one", "2"}));
  EXPECT_EQ(segments(), 1U);
}

TEST_F(SegmentLogTest, WhatCannotBeCutBackIsVoid) {
  open();
  ASSERT_TRUE(write({"one"}));
  faults_->set_truncate_fails(true);
  faults_->set_free_bytes(45);  // two records and a half
  EXPECT_FALSE(write({"two", "three", "four"}));
  faults_->set_free_bytes(DiskFaults::kNoLimit);
  ASSERT_TRUE(write({"2"}));
  EXPECT_EQ(segments(), 2U);
  EXPECT_EQ(read(), (std::vector<std::string>{"one", "2"}));
  faults_->set_truncate_fails(false);
  open();
  EXPECT_EQ(read(), (std::vector<std::string>{"one", "2"}));
}

TEST_F(SegmentLogTest, AFailedSyncGivesTheSegmentUp) {
  open();
  ASSERT_TRUE(write({"one"}, true));
  faults_->set_sync_fails(true);
  EXPECT_FALSE(write({"two"}, true));
  faults_->set_sync_fails(false);
  ASSERT_TRUE(write({"2"}, true));
  EXPECT_EQ(segments(), 2U);
  EXPECT_EQ(read(), (std::vector<std::string>{"one", "2"}));
}

TEST_F(SegmentLogTest, AProbeLeavesNothingBehind) {
  open();
  ASSERT_TRUE(write({"one"}));
  ASSERT_TRUE(log_->probe());
  EXPECT_EQ(list_segments(*storage_)->front().bytes, kSegmentHead + kFrameHead + 3);
  faults_->set_free_bytes(100);
  EXPECT_FALSE(log_->probe());
  EXPECT_EQ(list_segments(*storage_)->front().bytes, kSegmentHead + kFrameHead + 3);
}

TEST_F(SegmentLogTest, ShortWritesAreContinued) {
  open();
  faults_->set_longest_write(7);
  ASSERT_TRUE(write({"one", "two"}));
  EXPECT_EQ(read(), (std::vector<std::string>{"one", "two"}));
}

}  // namespace
}  // namespace autoglm::journal
