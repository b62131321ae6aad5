#include "sqlite/database.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <utility>

namespace autoglm::sqlite {
namespace {

class DatabaseTest : public ::testing::Test {
 public:
  DatabaseTest() : folder_(testing::TempDir() + "sqlite-XXXXXX") {
    if (::mkdtemp(folder_.data()) == nullptr) folder_.clear();
  }
  ~DatabaseTest() override { std::filesystem::remove_all(folder_); }

  std::string path() const { return folder_ + "/test.db"; }
  Result<Database> open(Database::Options options = {}) const {
    options.busy_timeout = std::chrono::milliseconds(1);
    return Database::open(path(), options);
  }
  Database with_table() const {
    auto database = open().value();
    EXPECT_TRUE(database.execute("CREATE TABLE t (name TEXT PRIMARY KEY, amount INTEGER) WITHOUT ROWID"));
    return database;
  }
  static std::int64_t count(Database& database) {
    auto statement = database.prepare("SELECT count(*) FROM t").value();
    EXPECT_TRUE(statement.step().value());
    return statement.number(0);
  }

  std::string folder_;
};

TEST_F(DatabaseTest, RowsOutliveTheObject) {
  {
    auto database = with_table();
    auto insert = database.prepare("INSERT INTO t VALUES (?, ?)").value();
    EXPECT_TRUE(insert.bind(0, "a").bind(1, std::int64_t{1} << 62U).run());
    EXPECT_TRUE(insert.bind(0, std::string_view()).bind_null(1).run());
    EXPECT_EQ(database.changed_rows(), 1);
  }
  auto database = open({.mode = Database::Mode::kReadOnly}).value();
  auto select = database.prepare("SELECT name, amount FROM t ORDER BY name").value();
  ASSERT_TRUE(select.step().value());
  EXPECT_EQ(select.text(0), "");
  EXPECT_FALSE(select.is_null(0));
  EXPECT_TRUE(select.is_null(1));
  ASSERT_TRUE(select.step().value());
  EXPECT_EQ(select.text(0), "a");
  EXPECT_EQ(select.number(1), std::int64_t{1} << 62U);
  EXPECT_FALSE(select.step().value());
}

TEST_F(DatabaseTest, ATransactionThatFailsLeavesNothing) {
  auto database = with_table();
  const auto failed = database.transaction([&]() -> Result<void> {
    EXPECT_TRUE(database.execute("INSERT INTO t VALUES ('a', 1)"));
    return fail(ErrorCode::kInternal, "no");
  });
  EXPECT_FALSE(failed);
  EXPECT_EQ(count(database), 0);
  EXPECT_TRUE(database.transaction([&] { return database.execute("INSERT INTO t VALUES ('a', 1)"); }));
  EXPECT_EQ(count(database), 1);
}

TEST_F(DatabaseTest, ATransactionThatThrowsLeavesNothing) {
  auto database = with_table();
  EXPECT_THROW((void)database.transaction([&]() -> Result<void> {
    EXPECT_TRUE(database.execute("INSERT INTO t VALUES ('a', 1)"));
    throw std::bad_alloc();
  }),
               std::bad_alloc);
  EXPECT_EQ(count(database), 0);
  EXPECT_TRUE(database.execute("INSERT INTO t VALUES ('a', 1)"));
}

TEST_F(DatabaseTest, AReaderDoesNotWaitForTheWriterAndAWriterDoes) {
  auto writer = with_table();
  auto other = open().value();
  EXPECT_TRUE(writer.transaction([&]() -> Result<void> {
    EXPECT_TRUE(writer.execute("INSERT INTO t VALUES ('a', 1)"));
    EXPECT_EQ(count(other), 0);
    const auto refused = other.execute("INSERT INTO t VALUES ('b', 1)");
    EXPECT_EQ(refused.error().code, ErrorCode::kUnavailable);
    return {};
  }));
  EXPECT_EQ(count(other), 1);
}

TEST_F(DatabaseTest, OnlyTheOwnerMayReadTheFiles) {
  auto database = with_table();
  for (const char* suffix : {"", "-wal", "-shm"}) {
    struct stat found{};
    ASSERT_EQ(::stat((path() + suffix).c_str(), &found), 0) << suffix;
    EXPECT_EQ(found.st_mode & 0777U, 0600U) << suffix;
  }
}

TEST_F(DatabaseTest, TellsItsErrorsApart) {
  auto database = with_table();
  EXPECT_TRUE(database.execute("INSERT INTO t VALUES ('a', 1)"));
  const auto twice = database.execute("INSERT INTO t VALUES ('a', 1)");
  EXPECT_EQ(twice.error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(twice.error().reason, "constraint");
  EXPECT_NE(twice.error().message.find(path()), std::string::npos);
  EXPECT_EQ(database.prepare("SELEC").error().code, ErrorCode::kInternal);
  auto insert = database.prepare("INSERT INTO t VALUES (?, ?)").value();
  EXPECT_EQ(insert.bind(7, 1).run().error().code, ErrorCode::kInternal);
  EXPECT_EQ(Database::open(folder_ + "/none/x.db", {}).error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(Database::open(folder_ + "/none.db", {.mode = Database::Mode::kReadOnly}).error().code,
            ErrorCode::kUnavailable);
}

TEST_F(DatabaseTest, DamageIsDataLossAndCanBeRemoved) {
  std::ofstream(path()) << std::string(8192, 'x');
  EXPECT_EQ(open().error().code, ErrorCode::kDataLoss);
  Database::remove(path());
  EXPECT_TRUE(open());
}

TEST_F(DatabaseTest, WithARollbackJournalAllIsInTheFile) {
  {
    const auto wal = with_table();
  }
  auto database = open({.journal_mode = Database::JournalMode::kRollback}).value();
  ASSERT_TRUE(database.execute("INSERT INTO t VALUES ('a', 1)"));
  for (const char* suffix : {"-wal", "-shm", "-journal"})
    EXPECT_FALSE(std::filesystem::exists(path() + suffix));
}

TEST_F(DatabaseTest, MakesNoFileWhereItMustBeThere) {
  EXPECT_EQ(open({.create = false}).error().code, ErrorCode::kUnavailable);
  EXPECT_FALSE(std::filesystem::exists(path()));
}

}  // namespace
}  // namespace autoglm::sqlite
