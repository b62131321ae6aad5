#pragma once

#include "base/error.h"

#include <simdjson.h>

#include <chrono>
#include <optional>

namespace autoglm::protocol::openai {

/// The error in `document`, which came with a status of success, in any of the forms that servers use.
/// Nothing: it is no error. Before an answer has begun another endpoint may do better, unless the request is
/// to blame; a rate limit counts as one, whatever the status. `or_else`: the message where the document has
/// none.
std::optional<Error> error_in(const simdjson::dom::element& document, const char* or_else);

/// The error of an answer with that status: see `read_error`. `document` may be null.
Error error_of_status(int status, const simdjson::dom::element* document,
                      std::optional<std::chrono::seconds> retry_after);

}  // namespace autoglm::protocol::openai
