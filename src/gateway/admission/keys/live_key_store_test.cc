#include "gateway/admission/keys/live_key_store.h"

#include "gateway/admission/keys/expiry.h"
#include "runtime/race.h"
#include "runtime/testing/run_task.h"

#include <gmock/gmock.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace autoglm::gateway {
namespace {

class LiveKeyStoreTest : public ::testing::Test {
 public:
  LiveKeyStoreTest() : folder_(testing::TempDir() + "live-keys-XXXXXX") {
    if (::mkdtemp(folder_.data()) == nullptr) folder_.clear();
    live_ = LiveKeyStore::open({.path = path(), .patience = std::chrono::milliseconds(1)}, metrics_, *log_,
                               [this] { return now_; })
                .value();
    live_->on_change([this] { ++changes_; });
  }
  ~LiveKeyStoreTest() override { std::filesystem::remove_all(folder_); }

  std::string path() const { return folder_ + "/keys.db"; }
  KeyRing::Match match(const std::string& key) const {
    return KeyRing({live_->contents()->layer}, true).find(key, now_);
  }
  std::string create(const std::string& name) {
    const auto made = run_task(loop_, live_->create({.name = name, .tenant = name}));
    EXPECT_TRUE(made) << made.error().message;
    return made ? made->key : "";
  }
  std::string metric(const std::string& line) const {
    const std::string text = metrics_.serialize();
    return text.find("\n" + line + "\n") != std::string::npos ? line : text;
  }

  WallTime now_ = *parse_moment("2026-12-01T00:00:00Z");
  std::string folder_;
  observe::MetricRegistry metrics_;
  std::unique_ptr<observe::Logger> log_ = observe::Logger::create({.file = "/dev/null"}).value();
  EventLoop loop_;
  std::unique_ptr<LiveKeyStore> live_;
  int changes_ = 0;
};

TEST_F(LiveKeyStoreTest, AChangeIsInForceWhenItIsAnswered) {
  const std::string key = create("alice");
  EXPECT_EQ(changes_, 1);
  ASSERT_NE(match(key).caller, nullptr);
  EXPECT_EQ(match(key).caller->key, "alice");
  ASSERT_TRUE(run_task(loop_, live_->revoke("alice")));
  EXPECT_EQ(match(key).caller, nullptr);
  EXPECT_FALSE(match(key).is_expired);
}

TEST_F(LiveKeyStoreTest, TheOldKeyIsGoodForItsGraceAndNotLonger) {
  const std::string old = create("alice");
  const auto rotated = run_task(loop_, live_->rotate("alice", std::chrono::hours(1)));
  ASSERT_TRUE(rotated);
  EXPECT_NE(match(old).caller, nullptr);
  EXPECT_NE(match(rotated->key).caller, nullptr);
  now_ += std::chrono::hours(1);
  EXPECT_TRUE(match(old).is_expired);
  EXPECT_NE(match(rotated->key).caller, nullptr);
}

TEST_F(LiveKeyStoreTest, SeesTheChangesOfOtherProcesses) {
  const std::string key = create("alice");
  auto other = KeyStore::open({.path = path()}).value();
  ASSERT_TRUE(other.revoke("alice", now_));
  EXPECT_NE(match(key).caller, nullptr);
  run_task(loop_, live_->look());
  EXPECT_EQ(match(key).caller, nullptr);
  const int changes = changes_;
  run_task(loop_, live_->look());
  EXPECT_EQ(changes_, changes) << "nothing is new";
}

TEST_F(LiveKeyStoreTest, AChangeWhoseCallerIsGoneIsSeenByTheNextLook) {
  run_task(loop_, [](LiveKeyStore& live) -> Task<void> {
    auto abandoned = live.create({.name = "alice", .tenant = "alice"});
    // The task waits for the thread; destroyed there, its job may still run.
    co_await first_of(std::move(abandoned), []() -> Task<void> { co_return; }());
  }(*live_));
  ASSERT_TRUE(run_task(loop_, live_->create({.name = "bob", .tenant = "bob"})));
  run_task(loop_, live_->look());
  auto other = KeyStore::open({.path = path()}).value();
  EXPECT_EQ(live_->contents()->keys, other.all().value());
}

TEST_F(LiveKeyStoreTest, OneKeyThatCannotBeReadDoesNotKeepOthersInForce) {
  const std::string broken = create("alice");
  const std::string key = create("bob");
  {
    auto other =
        sqlite::Database::open(path(), {.journal_mode = sqlite::Database::JournalMode::kRollback}).value();
    ASSERT_TRUE(other.execute("UPDATE keys SET rights = '{}' WHERE name = 'alice'"));
  }
  ASSERT_TRUE(run_task(loop_, live_->revoke("bob")));
  EXPECT_EQ(match(key).caller, nullptr);
  EXPECT_EQ(match(broken).caller, nullptr);
  EXPECT_EQ(live_->contents()->unreadable, std::vector<std::string>{"alice"});
}

TEST_F(LiveKeyStoreTest, WhileTheFileIsGoneTheKeysOfBeforeStayInForce) {
  const std::string key = create("alice");
  std::filesystem::rename(path(), path() + ".away");
  run_task(loop_, live_->look());
  EXPECT_NE(match(key).caller, nullptr);
  EXPECT_EQ(metric("autoglm_key_store_up 0"), "autoglm_key_store_up 0");
  EXPECT_EQ(metric("autoglm_key_store_failures_total 1"), "autoglm_key_store_failures_total 1");
  const auto refused = run_task(loop_, live_->revoke("alice"));
  EXPECT_EQ(refused.error().code, ErrorCode::kUnavailable) << "it is not said to be done";
  EXPECT_NE(match(key).caller, nullptr);
  std::filesystem::rename(path() + ".away", path());
  run_task(loop_, live_->look());
  EXPECT_EQ(metric("autoglm_key_store_up 1"), "autoglm_key_store_up 1");
  ASSERT_TRUE(run_task(loop_, live_->revoke("alice")));
  EXPECT_EQ(match(key).caller, nullptr);
}

}  // namespace
}  // namespace autoglm::gateway
