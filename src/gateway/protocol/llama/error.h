#pragma once

#include "base/error.h"

#include <string>

namespace autoglm::protocol::llama {

/// `{"error":{"code":400,"message":"…","type":"invalid_request_error"}}`, as llama-server has it.
std::string error_body(const Error& error);

}  // namespace autoglm::protocol::llama
