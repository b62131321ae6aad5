#include "journal/journal.h"

#include "journal/testing/scratch_journal.h"
#include "runtime/testing/for_turns.h"
#include "runtime/testing/run_task.h"
#include "runtime/worker_pool.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace autoglm::journal {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;

double microseconds_since(steady_clock::time_point begin) {
  return std::chrono::duration<double, std::micro>(steady_clock::now() - begin).count();
}

TEST(Journal, GivesBackWhatItWasGivenAndGoesOn) {
  ScratchJournal scratch;
  EventLoop loop;
  for (int round = 0; round < 3; ++round) {
    const auto journal = scratch.open();
    EXPECT_EQ(journal->next_sequence(), static_cast<std::uint64_t>(1 + round * 2));
    ASSERT_TRUE(append_on(loop, *journal, {.kind = 7, .payload = "appended"}));
    journal->post({.kind = 9, .payload = "posted"});
  }
  const auto journal = scratch.open();
  std::vector<std::uint8_t> kinds;
  const auto replayed = journal->replay([&](const Record& record) {
    kinds.push_back(record.kind);
    EXPECT_EQ(record.payload, record.kind == 7 ? "appended" : "posted");
    EXPECT_EQ(record.sequence, kinds.size());
  });
  EXPECT_EQ(kinds, (std::vector<std::uint8_t>{7, 9, 7, 9, 7, 9}));
  EXPECT_EQ(replayed->records, 6U);
  EXPECT_EQ(journal->recovered().dropped_bytes, 0U);
  EXPECT_EQ(scratch.counter("autoglm_journal_records_total"), 6U);
  EXPECT_EQ(scratch.counter("autoglm_journal_bytes_total"), 6 * kFrameHead + 3 * 14);
}

TEST(Journal, ItsFilesAreItsOwners) {
  ScratchJournal scratch;
  const auto journal = scratch.open();
  journal->post({.payload = "x"});
  struct stat status{};
  ASSERT_EQ(::stat(scratch.folder.path().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0700U);
}

TEST(Journal, ASecondProcessIsRefused) {
  ScratchFolder folder;
  int to_child[2];
  int from_child[2];
  ASSERT_EQ(::pipe(to_child) | ::pipe(from_child), 0);
  const pid_t child = ::fork();
  char byte = 'x';
  if (child == 0) {
    ::close(to_child[1]);  // ends with the parent
    const auto held = PosixStorage::open(folder.path());
    if (::write(from_child[1], &byte, 1) != 1 || ::read(to_child[0], &byte, 1) != 1) ::_exit(1);
    ::_exit(held ? 0 : 1);
  }
  ASSERT_EQ(::read(from_child[0], &byte, 1), 1);
  const auto log = observe::Logger::create({.file = "/dev/null"}).value();
  observe::MetricRegistry metrics;
  const auto refused = Journal::open({.path = folder.path()}, *log, metrics);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kUnavailable);
  EXPECT_NE(refused.error().message.find(folder.path()), std::string::npos);
  EXPECT_NE(refused.error().message.find("(" + std::to_string(child) + ")"), std::string::npos);
  ASSERT_EQ(::write(to_child[1], &byte, 1), 1);
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  EXPECT_TRUE(Journal::open({.path = folder.path()}, *log, metrics)) << "the lock ends with its process";
  for (const int fd : {to_child[0], to_child[1], from_child[0], from_child[1]}) ::close(fd);
}

TEST(Journal, AFolderThatCannotBeMadeIsAnErrorWithItsPath) {
  const auto log = observe::Logger::create({.file = "/dev/null"}).value();
  observe::MetricRegistry metrics;
  const auto refused = Journal::open({.path = "/dev/null/journal"}, *log, metrics);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("/dev/null/journal"), std::string::npos);
}

TEST(Journal, ATooLongRecordIsRefused) {
  ScratchJournal scratch;
  EventLoop loop;
  const auto journal = scratch.open();
  const std::string payload(kMaxPayload + 1, 'x');
  EXPECT_EQ(append_on(loop, *journal, {.payload = payload}).error().code, ErrorCode::kInvalidArgument);
  journal->post({.payload = payload});
  EXPECT_EQ(scratch.counter("autoglm_journal_dropped_total"), 1U);
  ASSERT_TRUE(append_on(loop, *journal, {.payload = std::string_view(payload).substr(1)}));
  EXPECT_EQ(ScratchJournal::payloads(*journal).at(0).size(), kMaxPayload);
}

/// Destroyed after any number of turns of the loop, with the disk slow, an append neither loses its record
/// nor disturbs what comes after it.
TEST(Journal, ADestroyedAppendIsWrittenAllTheSame) {
  ScratchJournal scratch;
  EventLoop loop;
  auto journal = scratch.open();
  std::size_t appended = 0;
  for (TurnCounts count; !count.over(); count.advance()) {
    const bool slow = count.now() % 2 == 0;
    scratch.faults->set_stalled(slow);
    run_task(loop, [](Journal& to, unsigned turns) -> Task<void> {
      (void)co_await for_turns(turns, to.append({.payload = "x"}));
    }(*journal, count.now()));
    scratch.faults->set_stalled(false);
    ++appended;
  }
  run_task(loop, [](Journal& to) -> Task<void> {
    {
      const auto never_awaited = to.append({.payload = "x"});
    }
    (void)co_await to.append({.payload = "x"});
  }(*journal));
  EXPECT_EQ(ScratchJournal::payloads(*journal).size(), appended + 2);
}

TEST(Journal, WaitersAreAnsweredWhenTheJournalEnds) {
  ScratchJournal scratch;
  EventLoop loop;
  auto journal = scratch.open();
  std::vector<Task<Result<void>>> waiting;
  const auto written = run_task(loop, [](std::unique_ptr<Journal>& ends) -> Task<int> {
    auto one = ends->append({.payload = "x"});
    auto other = ends->append({.payload = "x"});
    ends.reset();
    const bool first = (co_await std::move(one)).has_value();
    const bool second = (co_await std::move(other)).has_value();
    co_return (first ? 1 : 0) + (second ? 1 : 0);
  }(journal));
  EXPECT_EQ(written, 2);
  EXPECT_EQ(scratch.payloads().size(), 2U);
}

Task<void> append_numbered(Journal& journal, std::string name, int count, int& confirmed) {
  for (int i = 0; i < count; ++i) {
    const std::string payload = name + " " + std::to_string(i);
    if (i % 4 == 3) {
      journal.post({.payload = payload});
      ++confirmed;
    } else {
      confirmed += (co_await journal.append({.payload = payload})) ? 1 : 0;
    }
  }
}

TEST(Journal, ManyLoopsAppendEachRecordOnceAndInOrder) {
  constexpr unsigned kLoops = 8;
  constexpr int kAppenders = 25;
  constexpr int kEach = 500;
  ScratchJournal scratch;
  scratch.options.segment_bytes = 500'000;
  WorkerPool workers(kLoops);
  workers.start();
  auto journal = scratch.open();
  std::vector<std::vector<int>> confirmed(kLoops, std::vector<int>(kAppenders, 0));
  std::optional<Scope> scopes[kLoops];
  std::atomic<int> left{kLoops * kAppenders};
  const auto begin = steady_clock::now();
  workers.on_each([&](EventLoop& loop) {
    Scope& scope = scopes[loop.index()].emplace();
    for (int i = 0; i < kAppenders; ++i) {
      scope.spawn([](Journal& to, std::string name, int& out,
                     std::atomic<int>& remaining) -> Task<void> {
        co_await append_numbered(to, std::move(name), kEach, out);
        --remaining;
      }(*journal, std::to_string(loop.index()) + "/" + std::to_string(i),
                                                  confirmed[loop.index()][static_cast<std::size_t>(i)],
                                                  left));
    }
  });
  while (left > 0) std::this_thread::yield();
  const double took = microseconds_since(begin);
  workers.on_each([&](EventLoop& loop) { scopes[loop.index()].reset(); });
  journal.reset();
  std::map<std::string, int> next;
  int count = 0;
  for (const std::string& payload : scratch.payloads()) {
    const std::size_t space = payload.find(' ');
    EXPECT_EQ(std::stoi(payload.substr(space)), next[payload.substr(0, space)]++);
    ++count;
  }
  EXPECT_EQ(count, static_cast<int>(kLoops) * kAppenders * kEach);
  for (const auto& loop : confirmed) {
    for (const int each : loop) EXPECT_EQ(each, kEach);
  }
  const auto text = scratch.metrics.serialize();
  const auto at = text.find("autoglm_journal_commit_seconds_count");
  std::printf("[ measured ] %d records in %.0f ms by %u loops; %s", count, took / 1000, kLoops,
              text.substr(at, text.find('\n', at) + 1 - at).c_str());
}

/// Prints what the calling thread pays, and what a start costs; times are not compared with anything.
TEST(Journal, AMillionRecordsAreReadBack) {
  constexpr int kRecords = 1'000'000;
  ScratchJournal scratch;
  scratch.options.queue_bytes = std::size_t{1} << 30U;
  const std::string payload(150, 'u');
  {
    const auto journal = scratch.open();
    const auto begin = steady_clock::now();
    for (int i = 0; i < kRecords; ++i) journal->post({.kind = 1, .payload = payload});
    std::printf("[ measured ] a post: %.3f us\n", microseconds_since(begin) / kRecords);
  }
  const auto begin = steady_clock::now();
  const auto journal = scratch.open();
  const double opened = microseconds_since(begin);
  std::uint64_t bytes = 0;
  const auto replayed = journal->replay([&](const Record& record) { bytes += record.payload.size(); });
  std::printf("[ measured ] recovery of %d records: open %.1f ms, with replay %.1f ms\n", kRecords,
              opened / 1000, microseconds_since(begin) / 1000);
  EXPECT_EQ(replayed->records, static_cast<std::uint64_t>(kRecords));
  EXPECT_EQ(bytes, std::uint64_t{kRecords} * payload.size());
  EXPECT_TRUE(replayed->losses.empty());
}

/// One loop, a record a turn: what a request pays that waits for its record.
TEST(Journal, AnAppendThatWaits) {
  constexpr int kRecords = 5'000;
  for (const Sync sync : {Sync::kPeriodic, Sync::kEachCommit}) {
    ScratchJournal scratch;
    scratch.options.sync = sync;
    EventLoop loop;
    const auto journal = scratch.open();
    const int records = sync == Sync::kEachCommit ? kRecords / 20 : kRecords;
    int confirmed = 0;
    const auto begin = steady_clock::now();
    run_task(loop, [](Journal& to, int count, int& out) -> Task<void> {
      const std::string payload(150, 'u');
      for (int i = 0; i < count; ++i) out += (co_await to.append({.payload = payload})) ? 1 : 0;
    }(*journal, records, confirmed));
    EXPECT_EQ(confirmed, records);
    std::printf("[ measured ] an append that waits, %s: %.1f us\n",
                sync == Sync::kEachCommit ? "synced each" : "synced each second",
                microseconds_since(begin) / records);
  }
}

}  // namespace
}  // namespace autoglm::journal
