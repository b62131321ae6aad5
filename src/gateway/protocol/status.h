#pragma once

#include "base/error.h"

#include <string_view>

namespace autoglm::protocol {

/// The one table from error codes to HTTP status.
int http_status(ErrorCode code);

/// The same for gRPC, whose numbers are google.rpc.Code's.
int grpc_status(ErrorCode code);

/// OpenAI's word for the kind of error ("invalid_request_error", "rate_limit_error", …).
std::string_view openai_error_type(ErrorCode code);

}  // namespace autoglm::protocol
