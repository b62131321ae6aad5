#include "gateway/admission/usage/usage_index.h"

#include "journal/testing/scratch_journal.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <optional>

namespace autoglm::gateway {
namespace {

using namespace std::chrono_literals;

constexpr Day kToday = std::chrono::year(2026) / 11 / 30;

class UsageIndexTest : public ::testing::Test {
 protected:
  UsageIndexTest() { scratch_.options.sync = journal::Sync::kEachCommit; }
  void open_journal() { journal_ = scratch_.open(); }
  void SetUp() override {
    open_journal();
    open();
  }
  void open(UsageIndex::Options options = {}) {
    index_.reset();
    options.path = path();
    options.now = [this] { return now_; };
    index_.emplace(std::move(options), *journal_, *scratch_.log);
  }
  std::string path() const { return scratch_.folder.path() + "/usage.db"; }
  void add(const std::string& key, std::uint32_t tokens, WallTime time = kToday,
           const std::string& model = "m") {
    const std::string payload = to_bytes({.time = std::chrono::floor<std::chrono::milliseconds>(time),
                                          .request_id = "r",
                                          .key = key,
                                          .tenant = "t-" + key,
                                          .group = {},
                                          .model = model,
                                          .prompt_tokens = 10,
                                          .completion_tokens = tokens,
                                          .cost = 5,
                                          .outcome = UsageOutcome::kComplete});
    ASSERT_TRUE(append_on(loop_, *journal_, {.kind = kUsageRecordKind, .payload = payload}));
  }
  void update() { ASSERT_TRUE(index_->update(stop_)); }
  /// "key tokens", all days together.
  std::vector<std::string> by_key(UsageQuery query = {}) {
    query.by_key = true;
    const auto rows = index_->query(query);
    EXPECT_TRUE(rows) << rows.error().message;
    std::vector<std::string> all;
    if (!rows) return all;
    for (const UsageRow& row : *rows)
      all.push_back(row.key + " " + std::to_string(row.sums.requests) + " " +
                    std::to_string(row.sums.completion_tokens));
    return all;
  }
  using All = std::vector<std::string>;

  EventLoop loop_;
  journal::ScratchJournal scratch_;
  std::unique_ptr<journal::Journal> journal_;
  std::optional<UsageIndex> index_;
  std::atomic<bool> stop_{false};
  WallTime now_ = kToday + 12h;
};

TEST_F(UsageIndexTest, AQueryHasWhatTheFileHasAndWhatTheJournalHasBeyond) {
  add("a", 1);
  add("b", 2);
  EXPECT_EQ(by_key(), (All{"a 1 1", "b 1 2"})) << "nothing is in the file";
  update();
  EXPECT_EQ(index_->position(), 3U);
  add("a", 30);
  EXPECT_EQ(by_key(), (All{"a 2 31", "b 1 2"}));
  update();
  EXPECT_EQ(by_key(), (All{"a 2 31", "b 1 2"}));
}

TEST_F(UsageIndexTest, EachRecordCountsOnceOverRestarts) {
  for (int run = 0; run < 4; ++run) {
    add("a", 1);
    if (run % 2 == 0) update();
    add("a", 1);
    open();
    update();
    if (run == 2) {
      index_.reset();
      journal_.reset();
      open_journal();
      open();
    }
  }
  EXPECT_EQ(by_key(), (All{"a 8 8"}));
}

TEST_F(UsageIndexTest, AnswersByHourDayAndNames) {
  add("a", 1, kToday - std::chrono::days(1) + 23h + 59min);
  add("a", 2, kToday, "other");
  add("b", 4, kToday + 1h + 30min);
  update();
  add("b", 8, kToday + 1h + 59min);
  const auto rows = index_->query({.by_hour = true}).value();
  ASSERT_EQ(rows.size(), 3U);
  EXPECT_EQ(rows[0].day, kToday - std::chrono::days(1));
  EXPECT_EQ(rows[0].hour, Hour(kToday) - 1h);
  EXPECT_EQ(rows[2].hour, Hour(kToday) + 1h);
  EXPECT_EQ(rows[2].sums,
            (UsageSums{.requests = 2, .prompt_tokens = 20, .completion_tokens = 12, .cost = 10}));
  EXPECT_EQ(index_->query({.by_day = true})->size(), 2U);
  EXPECT_EQ(by_key({.from = kToday, .to = kToday}), (All{"a 1 2", "b 2 12"}));
  EXPECT_EQ(by_key({.key = "b"}), (All{"b 2 12"}));
  EXPECT_EQ(by_key({.tenant = "t-a"}), (All{"a 2 3"}));
  EXPECT_EQ(by_key({.model = "other"}), (All{"a 1 2"}));
  EXPECT_EQ(by_key({.key = "b", .model = "other"}), All{});
  EXPECT_EQ(by_key({.key = "a' OR 1=1 --"}), All{});
}

TEST_F(UsageIndexTest, ADamagedOneIsBuiltAnew) {
  add("a", 1);
  update();
  index_.reset();
  std::ofstream(path(), std::ios::binary) << std::string(20'000, '#');
  open();
  EXPECT_EQ(by_key(), (All{"a 1 1"}));
  update();
  // A page in its middle, while it is open.
  for (int i = 0; i < 300; ++i) add("key-" + std::to_string(i), 1);
  update();
  index_.reset();
  ASSERT_GT(std::filesystem::file_size(path()), 12'000U);
  std::fstream file(path(), std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(4096);
  file << std::string(8192, '#');
  file.close();
  open();
  add("a", 1);
  static_cast<void>(index_->update(stop_));
  EXPECT_EQ(by_key({.key = "a"}), (All{"a 2 2"}));
  EXPECT_EQ(by_key().size(), 301U);
}

TEST_F(UsageIndexTest, OneOfAnotherJournalIsBuiltAnewAndKeepsWhatIsOlder) {
  const auto lose_journal = [this] {
    index_.reset();
    journal_.reset();
    for (const std::string& segment : scratch_.segment_files()) std::filesystem::remove(segment);
    open_journal();
  };
  add("a", 1, kToday - std::chrono::days(400));
  add("a", 1, kToday - 1h);
  update();
  lose_journal();
  open();
  EXPECT_EQ(by_key(), (All{"a 2 2"})) << "it was ahead of a journal that has nothing in its place";
  add("b", 1);
  add("b", 1);
  update();
  EXPECT_EQ(by_key(), (All{"a 2 2", "b 2 2"}));
  lose_journal();
  for (int i = 0; i < 5; ++i) add("c", 1);
  open();
  EXPECT_EQ(by_key(), (All{"a 2 2", "c 5 5"})) << "the record before its position is another one";
}

TEST_F(UsageIndexTest, ADayThatStandsAtItsBeginningIsNotCountedTwice) {
  const WallTime old = kToday - std::chrono::days(100);
  add("a", 1, old + 3h);
  add("a", 2, old + 5h);
  update();
  index_.reset();
  journal_.reset();
  for (const std::string& segment : scratch_.segment_files()) std::filesystem::remove(segment);
  open_journal();
  for (int i = 0; i < 3; ++i) add("a", 4, old + 5h);
  open();
  EXPECT_EQ(by_key(), (All{"a 3 12"}));
}

TEST_F(UsageIndexTest, RecordsThatALossOfPowerMayTakeAreNotInTheFile) {
  scratch_.options.sync = journal::Sync::kPeriodic;
  journal_.reset();
  open_journal();
  scratch_.faults->set_sync_fails(true);
  open();
  add("a", 1);
  update();
  EXPECT_EQ(index_->position(), 1U);
  EXPECT_EQ(by_key(), (All{"a 1 1"}));
  scratch_.faults->set_sync_fails(false);
}

TEST_F(UsageIndexTest, OldHoursAreKeptAsDaysAndOldDaysGo) {
  add("a", 1, kToday + 3h);
  add("a", 2, kToday + 4h);
  add("a", 4, kToday);
  add("a", 8, kToday + 100h);
  update();
  now_ = kToday + std::chrono::days(63);
  update();
  const auto rows = index_->query({.by_hour = true}).value();
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_EQ(rows[0].hour, Hour(kToday));
  EXPECT_EQ(rows[0].sums.completion_tokens, 7U);
  EXPECT_EQ(rows[1].hour, Hour(kToday) + 100h);
  now_ = kToday + std::chrono::days(3 * 366 + 1);
  update();
  EXPECT_EQ(by_key(), (All{"a 1 8"}));
}

TEST_F(UsageIndexTest, AnAnswerThatIsTooLongIsRefused) {
  open({.most_rows = 2});
  for (const char* key : {"a", "b"}) add(key, 1);
  update();
  EXPECT_EQ(by_key().size(), 2U);
  add("c", 1);
  EXPECT_EQ(index_->query({.by_key = true}).error().code, ErrorCode::kInvalidArgument);
  update();
  EXPECT_EQ(index_->query({.by_key = true}).error().code, ErrorCode::kInvalidArgument);
}

TEST_F(UsageIndexTest, OneThatCannotBeWrittenSaysSoAndGoesOn) {
  std::filesystem::create_directory(path());
  add("a", 1);
  EXPECT_EQ(index_->update(stop_).error().code, ErrorCode::kUnavailable);
  EXPECT_FALSE(index_->query({}));
  std::filesystem::remove(path());
  EXPECT_EQ(by_key(), (All{"a 1 1"}));
}

TEST_F(UsageIndexTest, AJournalThatCannotBeReadForAMomentIsReadLater) {
  add("a", 3);
  scratch_.faults->set_read_fails(true);
  EXPECT_EQ(index_->update(stop_).error().code, ErrorCode::kUnavailable);
  EXPECT_FALSE(index_->query({})) << "it would have less than there is";
  scratch_.faults->set_read_fails(false);
  update();
  EXPECT_EQ(by_key(), All{"a 1 3"});
  EXPECT_EQ(index_->position(), 2U);
}

}  // namespace
}  // namespace autoglm::gateway
