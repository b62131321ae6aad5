#include "journal/segments.h"

#include "base/random.h"
#include "journal/testing/scratch_journal.h"
#include "runtime/testing/run_task.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

namespace autoglm::journal {
namespace {

class SegmentsTest : public ::testing::Test {
 public:
  /// Three segments: records 1 to 4, 5 to 8, 9 to 12.
  void SetUp() override {
    scratch_.options.segment_bytes = 4 * (kFrameHead + 10) + kSegmentHead;
    EventLoop loop;
    const auto journal = scratch_.open();
    for (int i = 0; i < 12; ++i) ASSERT_TRUE(append_on(loop, *journal, {.kind = 1, .payload = payload(i)}));
    ASSERT_EQ(scratch_.segment_files().size(), 3U);
  }
  static std::string payload(int i) { return std::string(9, '.') + static_cast<char>('a' + i); }
  void damage(std::size_t segment, std::size_t at) const {
    std::fstream file(scratch_.segment_files()[segment], std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(at));
    file.put('#');
  }
  static std::size_t frame(std::size_t i) { return kSegmentHead + i * (kFrameHead + 10); }
  Replayed replay(const Journal& journal, std::string& seen) const {
    return journal.replay([&](const Record& record) { seen += record.payload.back(); }).value();
  }

  ScratchJournal scratch_;
};

TEST_F(SegmentsTest, EachTornTailIsCutAtTheLastWholeRecord) {
  const std::string last = scratch_.segment_files().back();
  const std::uint64_t size = std::filesystem::file_size(last);
  for (std::uint64_t cut = 1; size - cut >= kSegmentHead; ++cut) {
    std::filesystem::resize_file(last, size - cut);
    const auto journal = scratch_.open();
    std::string seen;
    EXPECT_TRUE(replay(*journal, seen).losses.empty());
    const std::size_t whole = (size - cut - kSegmentHead) / (kFrameHead + 10);
    EXPECT_EQ(seen, std::string("abcdefghijkl").substr(0, 8 + whole));
    EXPECT_EQ(journal->next_sequence(), 9 + whole);
    EXPECT_EQ(std::filesystem::file_size(last), frame(whole));
  }
}

TEST_F(SegmentsTest, ASegmentWhoseMakingWasTornIsMadeAgain) {
  const std::string last = scratch_.segment_files().back();
  for (std::uint64_t size : {kSegmentHead - 1, std::size_t{1}, std::size_t{0}}) {
    std::filesystem::resize_file(last, size);
    EventLoop loop;
    const auto journal = scratch_.open();
    EXPECT_EQ(journal->recovered().dropped_bytes, size);
    EXPECT_EQ(journal->next_sequence(), 9U);
    std::string seen;
    EXPECT_TRUE(replay(*journal, seen).losses.empty());
    EXPECT_EQ(seen, "abcdefgh");
    ASSERT_TRUE(append_on(loop, *journal, {.payload = payload(8)}));
    std::filesystem::resize_file(scratch_.segment_files()[1], frame(4));  // a full one gives way
  }
}

TEST_F(SegmentsTest, DamageInTheMiddleIsReportedAndTheRestIsRead) {
  damage(1, frame(1) + 20);
  const auto journal = scratch_.open();
  std::string seen;
  const Replayed replayed = replay(*journal, seen);
  EXPECT_EQ(seen, "abcdeghijkl");
  ASSERT_EQ(replayed.losses.size(), 1U);
  EXPECT_EQ(replayed.losses[0].first_sequence, 6U);
  EXPECT_EQ(replayed.losses[0].end_sequence, 7U);
}

TEST_F(SegmentsTest, ATornSegmentThatIsNotTheLastIsReported) {
  std::filesystem::resize_file(scratch_.segment_files()[1], frame(2) + 5);
  const auto journal = scratch_.open();
  std::string seen;
  const Replayed replayed = replay(*journal, seen);
  EXPECT_EQ(seen, "abcdefijkl");
  ASSERT_EQ(replayed.losses.size(), 1U);
  EXPECT_EQ(replayed.losses[0].first_sequence, 7U);
  EXPECT_EQ(replayed.losses[0].end_sequence, 9U);
}

TEST_F(SegmentsTest, DamageInTheLastSegmentDoesNotCostTheRecordsBehindIt) {
  damage(2, frame(1) + 20);
  const auto journal = scratch_.open();
  std::string seen;
  const Replayed replayed = replay(*journal, seen);
  EXPECT_EQ(seen, "abcdefghikl");
  EXPECT_EQ(replayed.losses.size(), 1U);
  EXPECT_EQ(journal->next_sequence(), 13U);
}

TEST_F(SegmentsTest, AnUnreadableHeadCostsItsSegmentAndNoNumberIsUsedTwice) {
  damage(0, 3);
  damage(2, 20);
  EventLoop loop;
  const auto journal = scratch_.open();
  EXPECT_EQ(journal->recovered().damaged.size(), 1U);
  EXPECT_GT(journal->next_sequence(), 12U);
  ASSERT_TRUE(append_on(loop, *journal, {.payload = "m"}));
  std::string seen;
  const Replayed replayed = replay(*journal, seen);
  EXPECT_EQ(seen, "efghm");
  ASSERT_EQ(replayed.losses.size(), 2U);
  EXPECT_EQ(replayed.losses[0].end_sequence, 5U);
  EXPECT_EQ(replayed.losses[1].first_sequence, 9U);
}

TEST_F(SegmentsTest, AFileThatCannotBeReadForAMomentIsNoLoss) {
  const auto journal = scratch_.open();
  scratch_.faults->set_read_fails(true);
  const auto failed = journal->replay([](const Record&) {});
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, ErrorCode::kUnavailable);
  scratch_.faults->set_read_fails(false);
  std::string seen;
  EXPECT_TRUE(replay(*journal, seen).losses.empty());
  EXPECT_EQ(seen, "abcdefghijkl");
}

TEST_F(SegmentsTest, ReplayBeginsWhereItIsTold) {
  const auto journal = scratch_.open();
  std::string seen;
  const auto replayed = journal->replay([&](const Record& record) { seen += record.payload.back(); }, 7);
  EXPECT_EQ(seen, "ghijkl");
  EXPECT_EQ(replayed->records, 6U);
}

/// The child of the test below: appends numbers from `next` on, several at a time, and says in `confirmed`
/// which are written. Ends when it is killed.
[[noreturn]] void append_until_killed(ScratchJournal& scratch, std::uint64_t next, int confirmed) {
  scratch.log = observe::Logger::create({.file = "/dev/null"}).value();
  EventLoop loop;
  const auto journal = scratch.open();
  const auto appender = [](Journal& to, std::uint64_t& number, int tell) -> Task<void> {
    while (true) {
      const std::uint64_t mine = number++;
      const auto done = co_await to.append({.kind = 1, .payload = std::to_string(mine)});
      if (!done || ::write(tell, &mine, sizeof mine) != sizeof mine) ::_exit(1);
    }
  };
  Scope scope;
  loop.post([&] {
    for (int i = 0; i < 5; ++i) scope.spawn(appender(*journal, next, confirmed));
  });
  loop.run();
  ::_exit(1);
}

TEST(JournalKilled, EachConfirmedRecordIsThereExactlyOnce) {
  ScratchJournal scratch;
  scratch.options.segment_bytes = 2000;
  scratch.log.reset();  // its thread would not survive the fork
  Random random = Random::from_entropy();
  std::map<std::uint64_t, int> confirmed;
  std::uint64_t next = 0;
  for (int round = 0; round < 20; ++round) {
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    const pid_t child = ::fork();
    if (child == 0) append_until_killed(scratch, next, ends[1]);
    ::close(ends[1]);
    std::uint64_t number = 0;
    for (std::uint64_t left = random.below(300); ::read(ends[0], &number, sizeof number) == sizeof number;
         --left) {
      ++confirmed[number];
      next = std::max(next, number + 100);  // above all that the child has begun
      if (left == 0) ::kill(child, SIGKILL);
      if (left == 0) left = ~std::uint64_t{0};  // reads what it had confirmed by then
    }
    ::close(ends[0]);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status)) << "the child could not append";
  }
  scratch.log = observe::Logger::create({.file = "/dev/null"}).value();
  std::map<std::uint64_t, int> found;
  for (const std::string& payload : scratch.payloads()) ++found[std::stoull(payload)];
  for (const auto& [number, times] : found) EXPECT_EQ(times, 1) << number;
  for (const auto& [number, times] : confirmed) EXPECT_TRUE(found.contains(number)) << number;
  EXPECT_GE(confirmed.size(), 20U);
  std::printf("[ measured ] %zu confirmed, %zu found\n", confirmed.size(), found.size());
}

}  // namespace
}  // namespace autoglm::journal
