#pragma once

#include "base/clock.h"
#include "base/function_ref.h"
#include "base/result.h"
#include "sqlite/statement.h"

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

struct sqlite3;

namespace autoglm::sqlite {

/// An SQLite database in one file, which several processes and objects may have open at the same time. Every
/// call may block on the disk and on the locks of others: never on an event loop. An object and its
/// statements belong to one thread at a time, any; statements must not outlive it.
///
/// Errors of all calls here and of Statement: kDataLoss when the file is damaged or is no database;
/// kUnavailable when the disk does not work, is full, or another one holds the lock for longer than
/// `busy_timeout`; kInvalidArgument, with the reason "constraint", for a row that a constraint refuses;
/// kInternal for SQL that is wrong. `message` has the path and SQLite's words.
class Database {
 public:
  enum class Mode : std::uint8_t {
    kReadWrite,  ///< made when it is not there, readable by its owner only
    kReadOnly,   ///< the file must be there
  };
  enum class JournalMode : std::uint8_t {
    kWal,  ///< one writer, and readers that do not wait for it; the newest changes stand in files beside it
    kRollback,  ///< between changes all is in the file: another one may be put in its place by a rename
  };
  struct Options {
    Mode mode = Mode::kReadWrite;
    JournalMode journal_mode = JournalMode::kWal;
    bool create = true;  ///< false: with kReadWrite, too, the file must be there
    std::chrono::milliseconds busy_timeout = std::chrono::seconds(5);
    /// What is committed survives a loss of power. Otherwise the last commits may be gone then, and the file
    /// is whole all the same. Either way commits survive the end of the process.
    bool durable = true;
  };

  static Result<Database> open(const std::string& path, const Options& options);

  /// Statements without parameters and results, separated by `;`.
  Result<void> execute(const std::string& sql);
  Result<Statement> prepare(std::string_view sql);
  /// Does what `work` does in one transaction that may write: all of it, or nothing when it fails.
  Result<void> transaction(FunctionRef<Result<void>()> work);

  /// Rows that the last statement has inserted, changed or removed.
  std::int64_t changed_rows() const;
  const std::string& path() const { return path_; }

  /// Removes the files of the database at `path`, if there are any, while nobody has it open.
  static void remove(const std::string& path);

 private:
  struct Close {
    void operator()(sqlite3* database) const;
  };
  Database(std::string path, sqlite3* handle) : path_(std::move(path)), handle_(handle) {}

  std::string path_;
  std::unique_ptr<sqlite3, Close> handle_;
};

}  // namespace autoglm::sqlite
