#include "sqlite/statement.h"

#include "sqlite/failure.h"

#include <sqlite3.h>

#include <utility>

namespace autoglm::sqlite {

void Statement::Finalize::operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }

Statement& Statement::bind(int parameter, std::int64_t value) {
  note(sqlite3_bind_int64(handle_.get(), parameter + 1, value));
  return *this;
}

Statement& Statement::bind(int parameter, std::string_view text) {
  // A null pointer would bind NULL.
  note(sqlite3_bind_text64(handle_.get(), parameter + 1, text.data() == nullptr ? "" : text.data(),
                           text.size(), SQLITE_TRANSIENT, SQLITE_UTF8));
  return *this;
}

Statement& Statement::bind_null(int parameter) {
  note(sqlite3_bind_null(handle_.get(), parameter + 1));
  return *this;
}

Result<bool> Statement::step() {
  sqlite3* const database = sqlite3_db_handle(handle_.get());
  if (const int bound = std::exchange(bound_, SQLITE_OK); bound != SQLITE_OK)
    return fail(failure(database, bound));
  const int code = sqlite3_step(handle_.get());
  if (code == SQLITE_ROW) return true;
  Result<bool> ended = false;
  if (code != SQLITE_DONE) ended = fail(failure(database, sqlite3_extended_errcode(database)));
  reset();
  return ended;
}

Result<void> Statement::run() {
  while (true) {
    const auto row = step();
    if (!row) return fail(row.error());
    if (!*row) return {};
  }
}

void Statement::reset() { sqlite3_reset(handle_.get()); }

std::int64_t Statement::number(int column) const { return sqlite3_column_int64(handle_.get(), column); }

std::string_view Statement::text(int column) const {
  const auto* bytes = reinterpret_cast<const char*>(sqlite3_column_text(handle_.get(), column));
  if (bytes == nullptr) return {};
  return {bytes, static_cast<std::size_t>(sqlite3_column_bytes(handle_.get(), column))};
}

bool Statement::is_null(int column) const {
  return sqlite3_column_type(handle_.get(), column) == SQLITE_NULL;
}

}  // namespace autoglm::sqlite
