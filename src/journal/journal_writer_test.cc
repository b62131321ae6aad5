#include "journal/journal_writer.h"

#include "journal/testing/scratch_journal.h"
#include "runtime/testing/for_turns.h"
#include "runtime/testing/run_task.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <thread>
#include <vector>

namespace autoglm::journal {
namespace {

using namespace std::chrono_literals;

class JournalFaults : public ::testing::Test {
 public:
  JournalFaults() { scratch_.options.retry_after = 1ms; }

  void open(OnFailure on_failure) {
    scratch_.options.on_failure = on_failure;
    journal_ = scratch_.open();
  }
  Result<void> append(std::string_view payload) {
    return append_on(loop_, *journal_, {.kind = 1, .payload = payload});
  }
  void fill_disk(std::uint64_t free = 0) { scratch_.faults->set_free_bytes(free); }
  void empty_disk() { scratch_.faults->set_free_bytes(DiskFaults::kNoLimit); }
  static void until(const std::function<bool()>& holds) {
    while (!holds()) std::this_thread::yield();
  }
  void until_healthy() {
    until([this] { return journal_->healthy().has_value(); });
  }
  /// Until a write hangs.
  void stall() {
    scratch_.faults->set_stalled(true);
    journal_->post({.payload = "hangs"});
    until([this] { return scratch_.faults->stalled_writes() > 0; });
  }
  std::vector<std::string> reread() {
    journal_.reset();
    return scratch_.payloads();
  }
  using Payloads = std::vector<std::string>;

  EventLoop loop_;
  ScratchJournal scratch_;
  std::unique_ptr<Journal> journal_;
};

TEST_F(JournalFaults, AFullDiskRefusesAndRecoversByItself) {
  open(OnFailure::kRefuse);
  ASSERT_TRUE(append("one"));
  fill_disk(10);
  const auto refused = append("two");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(refused.error().retry, Retry::kLater);
  EXPECT_NE(refused.error().describe().find("make room on its disk"), std::string::npos);
  EXPECT_EQ(refused.error().message.find("No space"), std::string::npos)
      << "that is not the client's business";
  EXPECT_FALSE(journal_->healthy());
  EXPECT_FALSE(append("three"));
  EXPECT_GE(scratch_.counter("autoglm_journal_failures_total"), 1U);
  empty_disk();
  until_healthy();
  ASSERT_TRUE(append("four"));
  EXPECT_EQ(reread(), (Payloads{"one", "four"}));
  EXPECT_EQ(scratch_.counter("autoglm_journal_dropped_total"), 0U);
}

TEST_F(JournalFaults, WhatIsPostedOutlastsAFullDisk) {
  open(OnFailure::kRefuse);
  fill_disk();
  EXPECT_FALSE(append("one"));
  journal_->post({.payload = "two"});
  EXPECT_FALSE(append("three"));
  journal_->post({.payload = "four"});
  empty_disk();
  until_healthy();
  EXPECT_EQ(reread(), (Payloads{"two", "four"}));
}

TEST_F(JournalFaults, RefusedRecordsAreTakenOutFromBetweenPostedOnes) {
  open(OnFailure::kRefuse);
  stall();
  Scope scope;
  int refused = 0;
  run_task(loop_, [](JournalFaults& t, Scope& tasks, int& count) -> Task<void> {
    for (const std::string_view payload : {"a", "bb", "ccc"}) {
      tasks.spawn([](Journal& journal, std::string_view bytes, int& out) -> Task<void> {
        out += co_await journal.append({.payload = bytes}) ? 0 : 1;
      }(*t.journal_, payload, count));
      t.journal_->post({.payload = std::string("after ") + std::string(payload)});
    }
    t.fill_disk(5);
    t.scratch_.faults->set_stalled(false);
    co_await tasks.join();
  }(*this, scope, refused));
  EXPECT_EQ(refused, 3);
  empty_disk();
  until_healthy();
  EXPECT_EQ(reread(), (Payloads{"hangs", "after a", "after bb", "after ccc"}));
}

TEST_F(JournalFaults, AFullDiskServesAndKeepsWhatItOwes) {
  open(OnFailure::kServe);
  ASSERT_TRUE(append("one"));
  fill_disk(20);
  EXPECT_TRUE(append("two"));
  EXPECT_TRUE(append("three"));
  journal_->post({.payload = "four"});
  EXPECT_FALSE(journal_->healthy());
  empty_disk();
  until_healthy();
  EXPECT_TRUE(append("five"));
  EXPECT_EQ(reread(), (Payloads{"one", "two", "three", "four", "five"}));
}

TEST_F(JournalFaults, BeyondTheBoundRecordsAreDroppedAndCounted) {
  scratch_.options.queue_bytes = 3 * (kFrameHead + 3);
  open(OnFailure::kServe);
  fill_disk();
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(append("n-" + std::to_string(i)));
  journal_->post({.payload = "n-6"});
  EXPECT_EQ(scratch_.counter("autoglm_journal_dropped_total"), 3U);
  empty_disk();
  until_healthy();
  EXPECT_EQ(reread(), (Payloads{"n-0", "n-1", "n-2"}));
}

TEST_F(JournalFaults, WhatTheDiskNeverTakesIsCountedAtTheEnd) {
  open(OnFailure::kServe);
  fill_disk();
  EXPECT_TRUE(append("one"));
  journal_->post({.payload = "two"});
  journal_.reset();
  EXPECT_EQ(scratch_.counter("autoglm_journal_dropped_total"), 2U);
  EXPECT_GE(scratch_.log->counts().by_level[3], 2U) << "the failure, and the loss";
}

TEST_F(JournalFaults, AHangingDiskIsRefusedAfterATime) {
  scratch_.options.stuck_after = 1ms;
  open(OnFailure::kRefuse);
  stall();
  until([this] { return !journal_->healthy().has_value(); });
  EXPECT_EQ(append("refused").error().code, ErrorCode::kUnavailable);
  scratch_.faults->set_stalled(false);
  until_healthy();
  scratch_.options.stuck_after = 5s;
  EXPECT_EQ(reread(), (Payloads{"hangs"}));
}

TEST_F(JournalFaults, AnAppendThatAHangingDiskHoldsUpEnds) {
  scratch_.options.stuck_after = 20ms;
  for (const OnFailure on_failure : {OnFailure::kRefuse, OnFailure::kServe}) {
    open(on_failure);
    const auto before = scratch_.faults->stalled_writes();
    scratch_.faults->set_stalled(true);
    EXPECT_EQ(append("late").has_value(), on_failure == OnFailure::kServe);
    until([&] { return scratch_.faults->stalled_writes() > before; });
    scratch_.faults->set_stalled(false);
    journal_.reset();
  }
  EXPECT_EQ(scratch_.payloads(), (Payloads{"late", "late"}));
}

TEST_F(JournalFaults, ASlowDiskRefusesAppendsButTakesPosts) {
  scratch_.options.queue_bytes = 100;
  open(OnFailure::kRefuse);
  stall();
  for (int i = 0; i < 10; ++i) journal_->post({.payload = std::to_string(i)});
  EXPECT_EQ(append("too much").error().code, ErrorCode::kUnavailable);
  EXPECT_FALSE(journal_->healthy());
  EXPECT_GT(scratch_.counter("autoglm_journal_over_bound_total"), 0U);
  scratch_.faults->set_stalled(false);
  EXPECT_EQ(reread(), (Payloads{"hangs", "0", "1", "2", "3", "4", "5", "6", "7", "8", "9"}));
}

TEST_F(JournalFaults, WithEachCommitNothingIsConfirmedBeforeItsSync) {
  scratch_.options.sync = Sync::kEachCommit;
  open(OnFailure::kRefuse);
  const auto before = scratch_.faults->syncs();
  ASSERT_TRUE(append("one"));
  EXPECT_EQ(scratch_.faults->syncs(), before + 1);
  scratch_.faults->set_sync_fails(true);
  EXPECT_FALSE(append("two"));
  scratch_.faults->set_sync_fails(false);
  until_healthy();
  ASSERT_TRUE(append("three"));
  EXPECT_EQ(reread(), (Payloads{"one", "three"}));
}

TEST_F(JournalFaults, AFlushWaitsForWhatWasHandedOver) {
  const auto journal = scratch_.open();
  EXPECT_TRUE(journal->flush(0s));
  scratch_.faults->set_stalled(true);
  journal->post({.payload = "a"});
  EXPECT_FALSE(journal->flush(1ms));
  scratch_.faults->set_stalled(false);
  EXPECT_TRUE(journal->flush(1min));
  EXPECT_EQ(journal->next_sequence(), 2U);
  scratch_.faults->set_free_bytes(0);
  journal->post({.payload = "b"});
  EXPECT_FALSE(journal->flush(1h)) << "a disk that does not work is not waited for";
  scratch_.faults->set_free_bytes(DiskFaults::kNoLimit);
}

TEST_F(JournalFaults, WhatArrivesDuringAWriteIsOneWrite) {
  open(OnFailure::kRefuse);
  ASSERT_TRUE(append("first"));
  stall();
  for (int i = 0; i < 100; ++i) journal_->post({.payload = "together"});
  const auto before = scratch_.faults->writes();
  const auto commits = scratch_.metrics.counter("autoglm_journal_records_total", "").value();
  scratch_.faults->set_stalled(false);
  until([&] { return scratch_.counter("autoglm_journal_records_total") == commits + 101; });
  EXPECT_EQ(scratch_.faults->writes(), before + 1);
}

/// As when a loop ends before it has run what was posted.
TEST(WrittenNote, ALongChainIsDroppedWithoutADeepStack) {
  EventLoop loop;
  auto first = std::make_shared<WrittenNote>(loop);
  WrittenNote* last = first.get();
  for (int i = 0; i < 500'000; ++i) {
    last->next = std::make_shared<WrittenNote>(loop);
    last = last->next.get();
  }
  const std::weak_ptr<WrittenNote> second = first->next;
  first.reset();
  EXPECT_TRUE(second.expired());
}

}  // namespace
}  // namespace autoglm::journal
