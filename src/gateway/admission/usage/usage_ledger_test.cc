#include "gateway/admission/usage/usage_ledger.h"

#include "gateway/admission/call_permits.h"
#include "journal/testing/scratch_journal.h"
#include "runtime/testing/for_turns.h"
#include "runtime/testing/run_task.h"

#include <gtest/gtest.h>

#include <array>
#include <functional>

namespace autoglm::gateway {
namespace {

using namespace std::chrono_literals;
using journal::Journal;
using journal::OnFailure;

constexpr UsageQuery kAll{.by_day = true, .by_key = true, .by_tenant = true, .by_model = true};

/// How a call ends after its endpoint has begun.
enum class End : std::uint8_t { kComplete, kCut, kForgotten };

class UsageLedgerTest : public ::testing::Test {
 protected:
  UsageLedgerTest() { scratch_.options.retry_after = 1ms; }

  void open(OnFailure on_failure = OnFailure::kRefuse) {
    scratch_.options.on_failure = on_failure;
    journal_ = scratch_.open();
    make(journal_.get(), on_failure);
  }
  void make(Journal* journal, OnFailure on_failure = OnFailure::kRefuse) {
    ledger_.reset();
    totals_ = std::make_unique<UsageTotals>();
    ledger_ = std::make_unique<UsageLedger>(
        UsageLedger::Options{.on_failure = on_failure, .now = [this] { return now_; }}, *totals_, journal,
        scratch_.metrics);
    ledger_->apply(
        PriceTable::make(std::array{PriceConfig{.input = 0.15, .cached = 0.03, .output = 0.6}}).value());
  }
  void close() {
    ledger_.reset();
    journal_.reset();
  }
  /// What the journal has, as a later process reads it.
  std::vector<UsageRecord> records() {
    close();
    std::vector<UsageRecord> all;
    for (const std::string& payload : scratch_.payloads()) all.push_back(read_usage_record(payload).value());
    return all;
  }

  using Act = std::function<Task<Result<void>>(CallPermits&)>;
  static Task<Result<void>> call(UsageLedger& ledger, CallerPtr caller, Act act) {
    InferenceRequest request;
    request.id = "req-1";
    const CallContext context{.tenant = "sk-secret", .caller = std::move(caller)};
    auto permit = co_await ledger.admit(
        {.model = "m", .request = &request, .tokens = estimate_tokens(request), .context = context});
    if (!permit) co_return fail(permit.error());
    CallPermits permits;
    permits.add(std::move(*permit));
    permits.begin({.prompt = 7});
    EXPECT_TRUE(
        permits.note({.usage = Usage{.prompt_tokens = 100, .cached_tokens = 20, .completion_tokens = 30}}));
    co_return co_await act(permits);
  }
  Result<void> call(const Act& act) {
    return run_task(
        loop_,
        call(*ledger_,
             std::make_shared<const Caller>(Caller{.key = "mobile", .tenant = "acme", .group = "apps"}),
             act));
  }
  Result<void> call(End end) {
    return call([end](CallPermits& permits) -> Task<Result<void>> {
      if (end == End::kComplete) co_return co_await permits.close();
      if (end == End::kForgotten) permits.forget();
      co_return Result<void>();
    });
  }
  UsageSums sums() const {
    const auto rows = totals_->query({});
    return rows.empty() ? UsageSums{} : rows.front().sums;
  }

  WallTime now_ = Day(std::chrono::year(2026) / 11 / 30) + 12h;
  journal::ScratchJournal scratch_;
  EventLoop loop_;
  std::unique_ptr<Journal> journal_;
  std::unique_ptr<UsageTotals> totals_;
  std::unique_ptr<UsageLedger> ledger_;
};

TEST_F(UsageLedgerTest, EveryCallIsRecordedOnce) {
  open();
  ASSERT_TRUE(call(End::kComplete));
  ASSERT_TRUE(call(End::kCut));
  ASSERT_TRUE(call(End::kForgotten));
  EXPECT_EQ(sums(), (UsageSums{.requests = 2,
                               .cut = 1,
                               .prompt_tokens = 200,
                               .cached_tokens = 40,
                               .completion_tokens = 60,
                               .cost = 2 * 30'600}));
  EXPECT_EQ(scratch_.metrics.counter("autoglm_usage_requests_total", "", {{"tenant", "acme"}}).value(), 2U);
  UsageRecord expected{.time = std::chrono::floor<std::chrono::milliseconds>(now_),
                       .request_id = "req-1",
                       .key = "mobile",
                       .tenant = "acme",
                       .group = "apps",
                       .model = "m",
                       .prompt_tokens = 100,
                       .cached_tokens = 20,
                       .completion_tokens = 30,
                       .cost = 30'600,
                       .outcome = UsageOutcome::kComplete};
  const auto all = records();
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(all[0], expected);
  expected.outcome = UsageOutcome::kCut;
  EXPECT_EQ(all[1], expected);
}

TEST_F(UsageLedgerTest, ARecordHasTheModelThatAnsweredAndTheOneThatWasAsked) {
  open();
  ASSERT_TRUE(call([](CallPermits& permits) -> Task<Result<void>> {
    permits.served_by("second");
    permits.served_by("third");
    co_return co_await permits.close();
  }));
  const auto all = records();
  ASSERT_EQ(all.size(), 1U);
  EXPECT_EQ(all[0].model, "third");
  EXPECT_EQ(all[0].asked, "m");
}

TEST_F(UsageLedgerTest, WithoutAJournalTotalsAreInMemory) {
  make(nullptr);
  ASSERT_TRUE(call(End::kComplete));
  ASSERT_TRUE(call(End::kCut));
  EXPECT_EQ(sums().requests, 2U);
  EXPECT_EQ(sums().cut, 1U);
  EXPECT_EQ(ledger_->restore()->records, 0U);
}

TEST_F(UsageLedgerTest, ATenantThatIsASecretIsNotRecorded) {
  open();
  const auto close = [](CallPermits& permits) -> Task<Result<void>> { co_return co_await permits.close(); };
  ASSERT_TRUE(run_task(loop_, call(*ledger_, nullptr, close)));
  const auto all = records();
  ASSERT_EQ(all.size(), 1U);
  EXPECT_EQ(all[0].key + all[0].tenant + all[0].group, "");
  EXPECT_EQ(all[0].model, "m");
}

TEST_F(UsageLedgerTest, CallsWithoutAStreamAreNotRecorded) {
  open();
  const CallContext context;
  const auto permit = run_task(loop_, ledger_->admit({.model = "m", .context = context}));
  ASSERT_TRUE(permit);
  EXPECT_EQ(*permit, nullptr);
}

/// The disk is slow, and the answer's end is waited for by a client that gives up after any number of turns,
/// and that comes back or does not.
TEST_F(UsageLedgerTest, ACallDestroyedWhileItCommitsIsRecordedOnce) {
  for (const bool again : {false, true}) {
    open();
    std::uint64_t calls = 0;
    for (TurnCounts count; !count.over(); count.advance()) {
      scratch_.faults->set_stalled(count.now() % 2 == 0);
      ASSERT_TRUE(call([&](CallPermits& permits) -> Task<Result<void>> {
        const auto first = co_await for_turns(count.now(), permits.close());
        scratch_.faults->set_stalled(false);
        if (first || !again) co_return Result<void>();
        if (count.now() % 3 == 0) (void)co_await for_turns(1, permits.close());
        co_return co_await permits.close();
      }));
      ++calls;
    }
    EXPECT_EQ(sums().requests, calls);
    EXPECT_EQ(sums().cut, 0U) << calls;
    EXPECT_EQ(records().size(), calls * (again ? 2 : 1)) << "both rounds have one journal";
  }
}

TEST_F(UsageLedgerTest, ReopenedItHasTheSameTotals) {
  open();
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(call(i % 3 == 0 ? End::kCut : End::kComplete));
    now_ += 3h;
  }
  ASSERT_TRUE(run_task(loop_, [](Journal& to) -> Task<Result<void>> {
    to.post({.kind = kUsageRecordKind, .payload = "\x01 is none"});
    co_return co_await to.append({.kind = 200, .payload = "another room's"});
  }(*journal_)));
  const auto before = totals_->query(kAll);
  EXPECT_GE(before.size(), 3U);
  close();
  open();
  ledger_->apply(std::make_shared<const PriceTable>());  // what was paid stays
  const auto restored = ledger_->restore();
  ASSERT_TRUE(restored);
  EXPECT_EQ(restored->records, 20U);
  EXPECT_EQ(restored->unreadable, 1U);
  EXPECT_EQ(totals_->query(kAll), before);
  EXPECT_EQ(totals_->spent_by_key("mobile", Day::min(), Day::max()).tokens, 20 * 130U);
}

TEST_F(UsageLedgerTest, AJournalThatCannotBeReadEndsTheStart) {
  open();
  ASSERT_TRUE(call(End::kComplete));
  scratch_.faults->set_read_fails(true);
  make(journal_.get());
  const auto restored = ledger_->restore();
  ASSERT_FALSE(restored) << "budgets would begin anew";
  EXPECT_EQ(restored.error().code, ErrorCode::kUnavailable);
  scratch_.faults->set_read_fails(false);
}

TEST_F(UsageLedgerTest, ABrokenDiskRefusesCalls) {
  open(OnFailure::kRefuse);
  ASSERT_TRUE(call(End::kComplete));
  scratch_.faults->set_free_bytes(0);
  const auto refused = call(End::kComplete);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(refused.error().reason, "usage_unavailable");
  EXPECT_EQ(refused.error().message.find(scratch_.folder.path()), std::string::npos);
  EXPECT_EQ(scratch_.counter("autoglm_usage_unrecorded_total"), 1U);
  EXPECT_EQ(sums().requests, 2U);
  bool worked = false;
  const auto early = call([&](CallPermits&) -> Task<Result<void>> {
    worked = true;
    co_return Result<void>();
  });
  EXPECT_FALSE(early);
  EXPECT_EQ(early.error().reason, "usage_unavailable");
  EXPECT_FALSE(worked) << "it is refused before an endpoint works for it";
  EXPECT_EQ(sums().requests, 2U);

  scratch_.faults->set_free_bytes(journal::DiskFaults::kNoLimit);
  const auto deadline = std::chrono::steady_clock::now() + 20s;
  while (!journal_->healthy() && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
  ASSERT_TRUE(call(End::kComplete));
  EXPECT_EQ(records().size(), 2U) << "all but the one that was refused";
}

TEST_F(UsageLedgerTest, ABrokenDiskServesCallsAndRecordsThemLater) {
  open(OnFailure::kServe);
  scratch_.faults->set_free_bytes(0);
  ASSERT_TRUE(call(End::kComplete));
  ASSERT_TRUE(call(End::kComplete));
  EXPECT_EQ(sums().requests, 2U);
  scratch_.faults->set_free_bytes(journal::DiskFaults::kNoLimit);
  ASSERT_TRUE(call(End::kComplete));
  EXPECT_EQ(records().size(), 3U);
}

}  // namespace
}  // namespace autoglm::gateway
