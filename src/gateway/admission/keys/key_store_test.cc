#include "gateway/admission/keys/key_store.h"

#include "gateway/admission/keys/expiry.h"

#include <gmock/gmock.h>
#include <stdlib.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

namespace autoglm::gateway {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

const WallTime kNow = *parse_moment("2026-12-01T00:00:00Z");

class KeyStoreTest : public ::testing::Test {
 public:
  KeyStoreTest() : folder_(testing::TempDir() + "keys-XXXXXX") {
    if (::mkdtemp(folder_.data()) == nullptr) folder_.clear();
  }
  ~KeyStoreTest() override { std::filesystem::remove_all(folder_); }

  std::string path() const { return folder_ + "/keys.db"; }
  Result<KeyStore> try_open(bool create = true) const {
    return KeyStore::open({.path = path(), .create = create, .patience = std::chrono::milliseconds(1)});
  }
  KeyStore open() const {
    auto store = try_open();
    EXPECT_TRUE(store) << store.error().message;
    return std::move(*store);
  }
  /// The file as SQLite's own tools open it.
  Result<sqlite::Database> other_user() const {
    return sqlite::Database::open(path(), {.journal_mode = sqlite::Database::JournalMode::kRollback});
  }
  static std::vector<std::string> names(KeyStore& store) {
    std::vector<std::string> names;
    for (const StoredKey& each : store.all().value()) names.push_back(each.rights.name);
    return names;
  }

  std::string folder_;
};

TEST_F(KeyStoreTest, KeysOutliveTheProcess) {
  MadeKey made;
  const KeyConfig wanted{.name = "alice",
                         .key = "",
                         .tenant = "a",
                         .group = "chat",
                         .models = {"x*"},
                         .priority = 3,
                         .limits = {"rps"},
                         .budget = BudgetConfig{.tokens = 5},
                         .expires = "2027-01-01T00:00:00Z",
                         .labels = {{"team", "t"}}};
  {
    auto store = open();
    made = store.create(wanted, kNow).value();
    ASSERT_TRUE(store.create({.name = "bob", .tenant = "bob"}, kNow));
    ASSERT_TRUE(store.revoke("bob", kNow + std::chrono::hours(1)));
  }
  auto store = open();
  const auto keys = store.all().value();
  ASSERT_EQ(keys.size(), 2U);
  EXPECT_EQ(keys[0], made.stored);
  EXPECT_EQ(keys[0].rights, wanted);
  EXPECT_EQ(keys[0].digest, digest_of_key(made.key));
  EXPECT_EQ(keys[0].tail, made.key.substr(made.key.size() - 4));
  EXPECT_EQ(keys[1].revoked, kNow + std::chrono::hours(1));
}

TEST_F(KeyStoreTest, TheFileHasNoKeyAndOnlyItsOwnerReadsIt) {
  auto store = open();
  const auto first = store.create({.name = "alice", .tenant = "a"}, kNow).value();
  const auto second = store.rotate("alice", std::chrono::hours(1), kNow).value();
  for (const auto& file : std::filesystem::directory_iterator(folder_)) {
    struct stat found{};
    ASSERT_EQ(::stat(file.path().c_str(), &found), 0);
    EXPECT_EQ(found.st_mode & 0777U, 0600U) << file.path();
    std::ifstream in(file.path(), std::ios::binary);
    const std::string text((std::istreambuf_iterator<char>(in)), {});
    for (const std::string& key : {first.key, second.key}) {
      EXPECT_THAT(text, Not(HasSubstr(key.substr(3))));
    }
  }
}

TEST_F(KeyStoreTest, ANameIsGivenOnce) {
  auto store = open();
  ASSERT_TRUE(store.create({.name = "alice"}, kNow));
  EXPECT_EQ(store.create({.name = "alice"}, kNow).error().reason, "key_exists");
  ASSERT_TRUE(store.revoke("alice", kNow));
  const auto again = store.create({.name = "alice"}, kNow);
  EXPECT_EQ(again.error().reason, "key_exists");
  EXPECT_EQ(again.error().said->status, 409);
}

TEST_F(KeyStoreTest, ARevokedKeyStaysRevoked) {
  auto store = open();
  ASSERT_TRUE(store.create({.name = "alice"}, kNow));
  ASSERT_TRUE(store.rotate("alice", std::chrono::hours(1), kNow));
  EXPECT_EQ(store.revoke("alice", kNow)->revoked, kNow);
  EXPECT_EQ(store.revoke("alice", kNow + std::chrono::hours(1))->revoked, kNow) << "the first time counts";
  EXPECT_EQ(store.all()->front().previous, std::nullopt);
  EXPECT_EQ(store.rotate("alice", Duration::zero(), kNow).error().reason, "key_revoked");
  EXPECT_EQ(store.revoke("bob", kNow).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(store.rotate("bob", Duration::zero(), kNow).error().reason, "unknown_key");
}

TEST_F(KeyStoreTest, ARotationLeavesTheOldKeyItsGrace) {
  auto store = open();
  const auto first = store.create({.name = "alice", .tenant = "alice"}, kNow).value();
  const auto second = store.rotate("alice", std::chrono::hours(1), kNow).value();
  EXPECT_NE(first.key, second.key);
  EXPECT_EQ(second.stored.previous,
            (StoredKey::Previous{.digest = digest_of_key(first.key), .until = kNow + std::chrono::hours(1)}));
  EXPECT_EQ(second.stored.rights, first.stored.rights);
  const auto third = store.rotate("alice", Duration::zero(), kNow).value();
  EXPECT_EQ(store.all()->front().previous, std::nullopt);
  EXPECT_EQ(store.all()->front().digest, digest_of_key(third.key));
}

TEST_F(KeyStoreTest, ARotationAskedForAgainEndsNoKeyInUse) {
  auto store = open();
  ASSERT_TRUE(store.create({.name = "alice"}, kNow));
  const auto hour = std::chrono::hours(1);
  const auto second = store.rotate("alice", hour, kNow).value();
  const auto again = store.rotate("alice", hour, kNow + std::chrono::minutes(59));
  EXPECT_EQ(again.error().reason, "rotation_pending");
  EXPECT_EQ(again.error().said->status, 409);
  EXPECT_THAT(again.error().message, HasSubstr("2026-12-01T01:00:00Z"));
  EXPECT_EQ(store.all()->front(), second.stored);
  EXPECT_TRUE(store.rotate("alice", hour, kNow + hour));
}

TEST_F(KeyStoreTest, AKeyThatHasExpiredIsNotRotated) {
  auto store = open();
  ASSERT_TRUE(store.create({.name = "alice", .expires = "2026-12-01T00:00:01Z"}, kNow));
  const auto late = store.rotate("alice", Duration::zero(), kNow + std::chrono::seconds(1));
  EXPECT_EQ(late.error().reason, "key_expired");
  EXPECT_TRUE(store.rotate("alice", Duration::zero(), kNow));
}

TEST_F(KeyStoreTest, AKeyIsNotMadeToHaveExpired) {
  auto store = open();
  EXPECT_EQ(store.create({.name = "alice", .expires = "2026-12-01T00:00:00Z"}, kNow).error().param,
            "expires");
  EXPECT_TRUE(store.create({.name = "alice", .expires = "2026-12-01T00:00:01Z"}, kNow));
}

TEST_F(KeyStoreTest, SeesWhatItselfAndOthersChange) {
  auto store = open();
  auto other = open();
  EXPECT_TRUE(store.changed().value()) << "nothing was read yet";
  EXPECT_EQ(names(store).size(), 0U);
  EXPECT_FALSE(store.changed().value());
  ASSERT_TRUE(other.create({.name = "alice"}, kNow));
  EXPECT_TRUE(store.changed().value());
  EXPECT_THAT(names(store), ::testing::ElementsAre("alice"));
  EXPECT_FALSE(store.changed().value());
  ASSERT_TRUE(store.revoke("alice", kNow));
  EXPECT_TRUE(store.changed().value());
}

TEST_F(KeyStoreTest, ThreadsWithStoresOfTheirOwnLoseNothing) {
  constexpr int kThreads = 4;
  constexpr int kKeys = 10;
  open();
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([this, t] {
      auto store = KeyStore::open({.path = path(), .patience = std::chrono::minutes(1)}).value();
      for (int i = 0; i < kKeys; ++i) {
        // All want the first name; each name is given to one.
        (void)store.create({.name = "shared-" + std::to_string(i)}, kNow);
        EXPECT_TRUE(store.create({.name = "own-" + std::to_string(t) + "-" + std::to_string(i)}, kNow));
      }
    });
  }
  for (std::thread& each : threads) each.join();
  auto store = open();
  EXPECT_EQ(names(store).size(), static_cast<std::size_t>((kThreads + 1) * kKeys));
}

TEST_F(KeyStoreTest, AKeyThatWasShownIsThereAfterAKill) {
  // The child says the key's digest as soon as `create` has returned, and is killed before it does more.
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    auto store = KeyStore::open({.path = path()});
    const auto made = store->create({.name = "alice"}, kNow);
    (void)store->create({.name = "gone"}, kNow);
    (void)store->revoke("gone", kNow);
    const std::string digest = made ? to_hexadecimal(made->stored.digest) : "";
    (void)!::write(ends[1], digest.data(), digest.size());
    ::raise(SIGKILL);
  }
  ::close(ends[1]);
  std::string digest(64, '\0');
  ASSERT_EQ(::read(ends[0], digest.data(), digest.size()), 64);
  ::close(ends[0]);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status));
  auto store = open();
  const auto keys = store.all().value();
  ASSERT_EQ(keys.size(), 2U);
  EXPECT_EQ(to_hexadecimal(keys[0].digest), digest);
  EXPECT_TRUE(keys[1].revoked);
}

TEST_F(KeyStoreTest, SaysWhatIsWrongWithAFile) {
  EXPECT_EQ(try_open(false).error().code, ErrorCode::kNotFound);
  EXPECT_FALSE(std::filesystem::exists(path())) << "a look makes no file";
  std::ofstream(path()) << std::string(8192, 'x');
  EXPECT_EQ(try_open().error().code, ErrorCode::kDataLoss);
  EXPECT_THAT(try_open().error().message, HasSubstr("backup"));
  std::filesystem::remove(path());
  {
    auto other = other_user().value();
    ASSERT_TRUE(other.execute("CREATE TABLE t (x)"));
  }
  EXPECT_THAT(try_open().error().message, HasSubstr("another program"));
  EXPECT_EQ(KeyStore::open({.path = folder_ + "/none/keys.db"}).error().code, ErrorCode::kUnavailable);
}

TEST_F(KeyStoreTest, ALaterFormatIsRefused) {
  open();
  auto other = other_user().value();
  ASSERT_TRUE(other.execute("PRAGMA user_version = 2"));
  EXPECT_THAT(try_open().error().message, HasSubstr("format 2"));
}

TEST_F(KeyStoreTest, DamageIsFoundAtTheStart) {
  {
    auto store = open();
    for (int i = 0; i < 200; ++i) ASSERT_TRUE(store.create({.name = "key-" + std::to_string(i)}, kNow));
  }
  {
    std::fstream file(path(), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(2 * 4096);
    file << std::string(8192, '\x7f');
  }
  EXPECT_EQ(try_open().error().code, ErrorCode::kDataLoss);
}

TEST_F(KeyStoreTest, AKeyThatCannotBeReadIsLeftOutAndKeepsItsName) {
  auto store = open();
  ASSERT_TRUE(store.create({.name = "alice"}, kNow));
  ASSERT_TRUE(store.create({.name = "bob"}, kNow));
  auto other = other_user().value();
  ASSERT_TRUE(
      other.execute(R"(UPDATE keys SET rights = '{"name":"alice","maxima":1}' WHERE name = 'alice')"));
  EXPECT_THAT(names(store), ::testing::ElementsAre("bob")) << "maxima may have been a restriction";
  EXPECT_THAT(store.unreadable(), ::testing::ElementsAre("alice"));
  EXPECT_EQ(store.create({.name = "alice"}, kNow).error().reason, "key_exists");
  ASSERT_TRUE(store.revoke("bob", kNow)) << "the others end all the same";
  EXPECT_TRUE(store.all()->front().revoked);
}

TEST_F(KeyStoreTest, ALockOfAnotherIsSaid) {
  auto store = open();
  auto other = other_user().value();
  ASSERT_TRUE(other.execute("BEGIN IMMEDIATE"));
  EXPECT_THAT(try_open().error().message, HasSubstr("locked"));
  EXPECT_EQ(store.create({.name = "alice"}, kNow).error().code, ErrorCode::kUnavailable);
  EXPECT_TRUE(store.all()) << "readers do not wait";
  ASSERT_TRUE(other.execute("ROLLBACK"));
  EXPECT_TRUE(store.create({.name = "alice"}, kNow));
}

TEST_F(KeyStoreTest, AFileThatCannotBeWrittenIsRefused) {
  open();
  std::filesystem::permissions(folder_, std::filesystem::perms(0755));
  std::filesystem::permissions(path(), std::filesystem::perms(0444));
  const bool is_root = ::geteuid() == 0;
  if (is_root) ::setfsuid(65534);  // this thread's files are then those of nobody
  const auto refused = try_open();
  if (is_root) ::setfsuid(0);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kUnavailable) << refused.error().message;
}

TEST_F(KeyStoreTest, FollowsAFileThatIsPutInItsPlaceAndMissesOneThatIsGone) {
  auto store = open();
  ASSERT_TRUE(store.create({.name = "alice"}, kNow));
  EXPECT_EQ(names(store).size(), 1U);
  const std::string other_path = folder_ + "/other.db";
  {
    auto other = KeyStore::open({.path = other_path}).value();
    ASSERT_TRUE(other.create({.name = "bob"}, kNow));
  }
  sqlite::Database::remove(path());
  EXPECT_EQ(store.changed().error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(store.create({.name = "carol"}, kNow).error().code, ErrorCode::kUnavailable)
      << "it would be written to a file that nobody finds again";
  std::filesystem::rename(other_path, path());
  EXPECT_TRUE(store.changed().value());
  EXPECT_THAT(names(store), ::testing::ElementsAre("bob"));
}

TEST_F(KeyStoreTest, ABackupIsPutInPlaceByARenameAlone) {
  auto store = open();
  ASSERT_TRUE(store.create({.name = "alice"}, kNow));
  std::filesystem::copy_file(path(), folder_ + "/backup.db");  // nothing stands beside it
  ASSERT_TRUE(store.create({.name = "bob"}, kNow));
  std::filesystem::rename(folder_ + "/backup.db", path());
  EXPECT_THAT(names(store), ::testing::ElementsAre("alice"));
  ASSERT_TRUE(store.create({.name = "carol"}, kNow));
  auto another = open();
  EXPECT_THAT(names(another), ::testing::ElementsAre("alice", "carol"));
}

TEST_F(KeyStoreTest, ABackupOfAnOlderKindIsFollowed) {
  auto store = open();
  {
    auto backup = KeyStore::open({.path = folder_ + "/backup.db"}).value();
    ASSERT_TRUE(backup.create({.name = "alice"}, kNow));
  }
  ASSERT_TRUE(sqlite::Database::open(folder_ + "/backup.db", {}));  // which leaves it in WAL mode
  std::filesystem::rename(folder_ + "/backup.db", path());
  EXPECT_THAT(names(store), ::testing::ElementsAre("alice"));
  ASSERT_TRUE(store.create({.name = "bob"}, kNow));
  EXPECT_FALSE(std::filesystem::exists(path() + "-wal"));
}

TEST_F(KeyStoreTest, AnEmptyFileInItsPlaceIsDamageWhileItIsOpenAndNewAtTheStart) {
  auto store = open();
  ASSERT_TRUE(store.create({.name = "alice"}, kNow));
  std::filesystem::rename(path(), folder_ + "/away.db");
  std::ofstream(path()).flush();
  EXPECT_EQ(store.all().error().code, ErrorCode::kDataLoss);
  EXPECT_EQ(store.create({.name = "alice"}, kNow).error().code, ErrorCode::kDataLoss) << "the name is taken";
  EXPECT_EQ(std::filesystem::file_size(path()), 0U);
  EXPECT_EQ(try_open(false).error().code, ErrorCode::kDataLoss);
  EXPECT_TRUE(try_open());
}

TEST_F(KeyStoreTest, AFileWithoutTablesIsNotMadeAStore) {
  {
    auto other = other_user().value();
    ASSERT_TRUE(other.execute("CREATE TABLE t (x); DROP TABLE t"));
  }
  ASSERT_GT(std::filesystem::file_size(path()), 0U);
  EXPECT_EQ(try_open().error().code, ErrorCode::kDataLoss);
}

}  // namespace
}  // namespace autoglm::gateway
