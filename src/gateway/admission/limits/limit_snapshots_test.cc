#include "gateway/admission/limits/limit_snapshots.h"

#include "gateway/admission/usage/usage_index.h"
#include "gateway/admission/usage/usage_ledger.h"
#include "journal/testing/scratch_journal.h"
#include "runtime/testing/run_task.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <optional>
#include <thread>

namespace autoglm::gateway {
namespace {

using namespace std::chrono_literals;

const UsageRecord kUsed{
    .time = std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now()),
    .request_id = "r",
    .key = "a",
    .completion_tokens = 100};

class LimitSnapshotsTest : public ::testing::Test {
 protected:
  /// A process begins.
  void start() {
    journal_ = scratch_.open();
    check_.emplace(scratch_.metrics);
    check_->apply({{.name = "tokens", .tokens = "1000/day"}}, std::chrono::steady_clock::now());
    snapshots_.emplace(LimitSnapshots::Options{.every = 1h, .wall = [this] { return now_; }}, *check_,
                       *journal_, *scratch_.log, scratch_.metrics);
    snapshots_->begin_restore([](std::string_view) { return nullptr; });
    ASSERT_TRUE(journal_->replay([&](const journal::Record& record) {
      snapshots_->see(read_usage_record(record.payload).value(), record.sequence);
    }));
    snapshots_->finish_restore();
  }
  /// A call that ends: its limit is charged, then it is written down.
  void use(bool recorded = true, bool waits = true) {
    const InferenceRequest request{.work = GenerateRequest{.prompts = {TokenPrompt{}}}};
    CallContext context;
    context.caller = std::make_shared<const Caller>(Caller{.key = "a", .tenant = {}, .group = {}});
    auto permit =
        run_task(
            loop_,
            check_->admit(
                {.model = "m", .request = &request, .tokens = estimate_tokens(request), .context = context}))
            .value();
    permit->settle({.completion_tokens = 100});
    const std::string payload = to_bytes(kUsed);
    if (recorded && !waits) {
      journal_->post({.kind = kUsageRecordKind, .payload = payload});
    } else if (recorded) {
      ASSERT_TRUE(append_on(loop_, *journal_, {.kind = kUsageRecordKind, .payload = payload}));
    }
  }
  void stop() {
    snapshots_->close();
    kill();
  }
  /// Nothing is saved.
  void kill() {
    snapshots_.reset();
    check_.reset();
    journal_.reset();
  }
  std::uint64_t left() {
    std::uint64_t left = 0;
    check_->for_each_rate([&](const LimitConfig&, const RateSpec&, RateTable& rates) {
      left = rates.state("a", std::chrono::steady_clock::now()).remaining;
    });
    return left;
  }

  WallTime now_ = kUsed.time;
  EventLoop loop_;
  journal::ScratchJournal scratch_;
  std::unique_ptr<journal::Journal> journal_;
  std::optional<LimitCheck> check_;
  std::optional<LimitSnapshots> snapshots_;
};

TEST_F(LimitSnapshotsTest, EachCallIsChargedOnceOverManyEnds) {
  start();
  use();
  stop();
  start();
  EXPECT_EQ(left(), 900U);
  use();
  ASSERT_TRUE(snapshots_->save());
  use();
  kill();
  start();
  EXPECT_EQ(left(), 700U) << "one from before the save, one after it";
  kill();
  start();
  EXPECT_EQ(left(), 700U);
  use(false);
  stop();
  start();
  EXPECT_EQ(left(), 600U) << "a call without a record is in the saved state";
}

TEST_F(LimitSnapshotsTest, AClockThatStepsGivesNothingButTheTimeItShows) {
  start();
  for (int i = 0; i < 7; ++i) use();
  kill();
  now_ -= 1h;
  start();
  EXPECT_EQ(left(), 300U) << "the records are of an hour that is yet to come";
  stop();
  now_ -= 1h;
  start();
  EXPECT_EQ(left(), 300U);
  stop();
  now_ += 1h;
  start();
  EXPECT_EQ(left(), 341U) << "an hour of a day's 1000";
}

TEST_F(LimitSnapshotsTest, CallsThatAreCutByACleanEndAreChargedOnce) {
  start();
  scratch_.faults->set_stalled(true);
  use(true, false);
  use(true, false);
  std::thread disk([this] { scratch_.faults->set_stalled(false); });
  stop();
  disk.join();
  start();
  EXPECT_EQ(left(), 800U);
}

TEST_F(LimitSnapshotsTest, ADamagedStateIsRebuiltFromTheJournal) {
  start();
  use();
  use();
  stop();
  std::filesystem::resize_file(scratch_.folder.path() + "/limits.snapshot", 30);
  start();
  EXPECT_EQ(left(), 800U);
}

TEST_F(LimitSnapshotsTest, AFullDiskCostsNothingButTime) {
  start();
  use();
  scratch_.faults->set_free_bytes(10);
  EXPECT_FALSE(snapshots_->save());
  stop();
  EXPECT_EQ(scratch_.counter("autoglm_limit_snapshot_failures_total"), 1U);
  scratch_.faults->set_free_bytes(journal::DiskFaults::kNoLimit);
  start();
  EXPECT_EQ(left(), 900U);
}

TEST_F(LimitSnapshotsTest, IsSavedWhileItRuns) {
  start();
  use(false);
  snapshots_.reset();
  snapshots_.emplace(LimitSnapshots::Options{.every = 1ms}, *check_, *journal_, *scratch_.log,
                     scratch_.metrics);
  snapshots_->begin_restore([](std::string_view) { return nullptr; });
  snapshots_->finish_restore();
  const std::uint64_t writes = scratch_.faults->writes();
  while (scratch_.faults->writes() < writes + 3) std::this_thread::yield();
  kill();
  start();
  EXPECT_EQ(left(), 900U);
}

/// How long a start takes that finds so many records: totals for budgets, three limits, and the index.
TEST(Recovery, OfManyRecordsIsMeasured) {
  constexpr std::uint64_t kRecords = 100'000;
  journal::ScratchJournal scratch;
  scratch.options.queue_bytes = std::size_t{1} << 30U;
  const auto today = std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now());
  {
    const auto journal = scratch.open();
    for (std::uint64_t i = 0; i < kRecords; ++i) {
      const std::string key = "key-" + std::to_string(i % 100);
      const std::string payload = to_bytes({.time = today - std::chrono::seconds(kRecords - i),
                                            .request_id = "0123456789abcdef0123456789abcdef",
                                            .key = key,
                                            .tenant = "tenant-" + std::to_string(i % 10),
                                            .group = "chat",
                                            .model = "smollm2-135m-instruct",
                                            .prompt_tokens = 500,
                                            .completion_tokens = 100,
                                            .cost = 135'000});
      journal->post({.kind = kUsageRecordKind, .payload = payload});
    }
  }
  const auto begin = std::chrono::steady_clock::now();
  const auto seconds = [&] { return to_seconds(std::chrono::steady_clock::now() - begin); };
  const auto journal = scratch.open();
  UsageTotals totals;
  UsageLedger ledger({}, totals, journal.get(), scratch.metrics);
  LimitCheck check(scratch.metrics);
  check.apply({{.name = "a", .tokens = "100k/min"},
               {.name = "b",
                .per = LimitScope::kTenant,
                .requests = "10/s",
                .algorithm = RateAlgorithm::kSlidingWindow},
               {.name = "c", .per = LimitScope::kGlobal, .tokens = "1M/min"}},
              std::chrono::steady_clock::now());
  LimitSnapshots snapshots({}, check, *journal, *scratch.log, scratch.metrics);
  snapshots.begin_restore([](std::string_view) { return nullptr; });
  const auto restored = ledger.restore(
      [&](const UsageRecord& record, std::uint64_t sequence) { snapshots.see(record, sequence); });
  ASSERT_TRUE(restored);
  snapshots.finish_restore();
  EXPECT_EQ(restored->records, kRecords);
  const double ready = seconds();
  UsageIndex index({.path = scratch.folder.path() + "/usage.db"}, *journal, *scratch.log);
  while (index.position() <= kRecords) ASSERT_TRUE(index.update(std::atomic<bool>(false)));
  std::printf("[ measured ] %llu records: %.2f s to totals and limits, %.2f s more to the index\n",
              static_cast<unsigned long long>(kRecords), ready, seconds() - ready);
}

}  // namespace
}  // namespace autoglm::gateway
