#include "sqlite/database.h"

#include "sqlite/failure.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <unistd.h>

#include <filesystem>
#include <system_error>
#include <utility>

namespace autoglm::sqlite {

void Database::Close::operator()(sqlite3* database) const { sqlite3_close_v2(database); }

Result<Database> Database::open(const std::string& path, const Options& options) {
  const bool writes = options.mode == Mode::kReadWrite;
  if (writes && options.create) {
    // SQLite gives its own files the mode that it finds. It reports what is wrong with the path.
    const int made = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (made >= 0) ::close(made);
  }
  sqlite3* handle = nullptr;
  const int flags = writes ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY;
  const int code = sqlite3_open_v2(path.c_str(), &handle, flags | SQLITE_OPEN_NOMUTEX, nullptr);
  Database database(path, handle);
  if (code != SQLITE_OK) {
    Error error = failure(handle, code);
    error.message += " (" + path + ")";
    return fail(std::move(error));
  }
  sqlite3_extended_result_codes(handle, 1);
  // SQLite falls back to reading, and then begins transactions without the lock of writers.
  if (writes && sqlite3_db_readonly(handle, "main") == 1)
    return fail(ErrorCode::kUnavailable, "the file cannot be written (" + path + ")");
  sqlite3_busy_timeout(handle, static_cast<int>(options.busy_timeout.count()));
  // A file may hold views and triggers of anyone who could write it.
  sqlite3_db_config(handle, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  sqlite3_db_config(handle, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  if (writes) {
    const bool wal = options.journal_mode == JournalMode::kWal;
    auto set = database.execute(wal ? "PRAGMA journal_mode = WAL" : "PRAGMA journal_mode = DELETE");
    if (!set) return fail(std::move(set).error());
  }
  // EXTRA: that a rollback journal is gone, which is what commits, is on the disk as well.
  auto set = database.execute(options.durable ? "PRAGMA synchronous = EXTRA" : "PRAGMA synchronous = NORMAL");
  if (!set) return fail(std::move(set).error());
  return database;
}

Result<void> Database::execute(const std::string& sql) {
  const int code = sqlite3_exec(handle_.get(), sql.c_str(), nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) return fail(failure(handle_.get(), code));
  return {};
}

Result<Statement> Database::prepare(std::string_view sql) {
  sqlite3_stmt* statement = nullptr;
  const int code =
      sqlite3_prepare_v2(handle_.get(), sql.data(), static_cast<int>(sql.size()), &statement, nullptr);
  if (code != SQLITE_OK) return fail(failure(handle_.get(), code));
  return Statement(statement);
}

Result<void> Database::transaction(FunctionRef<Result<void>()> work) {
  // Rolled back also when `work` throws. SQLite itself rolls back after some errors.
  struct Open {
    ~Open() {
      if (sqlite3_get_autocommit(handle) == 0) sqlite3_exec(handle, "ROLLBACK", nullptr, nullptr, nullptr);
    }
    sqlite3* handle;
  };
  // Without IMMEDIATE a transaction that begins by reading may find the lock taken, and no wait would help.
  if (auto begun = execute("BEGIN IMMEDIATE"); !begun) return begun;
  const Open open{handle_.get()};
  if (auto done = work(); !done) return done;
  return execute("COMMIT");
}

std::int64_t Database::changed_rows() const { return sqlite3_changes64(handle_.get()); }

void Database::remove(const std::string& path) {
  std::error_code ignored;
  for (const char* suffix : {"", "-wal", "-shm", "-journal"}) std::filesystem::remove(path + suffix, ignored);
}

}  // namespace autoglm::sqlite
