#pragma once

#include "base/error.h"

#include <simdjson.h>

#include <chrono>
#include <optional>

namespace autoglm::protocol::openai {

/// What `document`, which came behind a status that said all is well, says in the place of an answer, in any
/// of the forms that servers have for an error. Nothing: it is none. Before an answer has begun somebody else
/// may do better, unless the request is to blame; a rate limit is one, whatever the status said. `or_else`:
/// the message where there is none.
std::optional<Error> error_in(const simdjson::dom::element& document, const char* or_else);

/// What an answer with that status comes to: see `read_error`. `document` may be null.
Error error_of_status(int status, const simdjson::dom::element* document,
                      std::optional<std::chrono::seconds> retry_after);

}  // namespace autoglm::protocol::openai
