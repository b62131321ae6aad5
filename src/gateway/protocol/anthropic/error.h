#pragma once

#include "base/error.h"

#include <string>
#include <string_view>

namespace autoglm::protocol::anthropic {

/// Anthropic's word for the kind of error ("invalid_request_error", "overloaded_error", …).
std::string_view error_type(ErrorCode code);

/// `{"type":"error","error":{"type","message"}}`, as Anthropic's clients expect it: the body of an answer,
/// and the data of a stream's error event.
std::string error_body(const Error& error);

}  // namespace autoglm::protocol::anthropic
