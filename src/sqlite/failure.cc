#include "sqlite/failure.h"

#include <sqlite3.h>

#include <string>

namespace autoglm::sqlite {

namespace {

ErrorCode code_of(int primary) {
  switch (primary) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return ErrorCode::kDataLoss;
    case SQLITE_CONSTRAINT:
      return ErrorCode::kInvalidArgument;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_NOMEM:
    case SQLITE_READONLY:
    case SQLITE_IOERR:
    case SQLITE_FULL:
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_AUTH:
    case SQLITE_NOLFS:
    case SQLITE_PROTOCOL:
      return ErrorCode::kUnavailable;
    default:
      return ErrorCode::kInternal;
  }
}

}  // namespace

Error failure(sqlite3* database, int code) {
  const int primary = code & 0xFF;
  std::string message = "the database";
  if (database != nullptr) {
    if (const char* path = sqlite3_db_filename(database, "main"); path != nullptr)
      message.append(" ").append(path);
  }
  message.append(": ");
  // The handle's message may be of an earlier call.
  const bool is_last = database != nullptr && (sqlite3_errcode(database) & 0xFF) == primary;
  message.append(is_last ? sqlite3_errmsg(database) : sqlite3_errstr(code));
  return Error{.code = code_of(primary),
               .message = std::move(message),
               .reason = primary == SQLITE_CONSTRAINT ? "constraint" : ""};
}

}  // namespace autoglm::sqlite
