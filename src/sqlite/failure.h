#pragma once

#include "base/result.h"

struct sqlite3;

namespace autoglm::sqlite {

/// What `code`, of the last call to `database`, means for the caller. For this room's own sources.
Error failure(sqlite3* database, int code);

}  // namespace autoglm::sqlite
