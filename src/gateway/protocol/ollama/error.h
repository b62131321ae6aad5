#pragma once

#include "base/error.h"

#include <string>

namespace autoglm::protocol::ollama {

/// `{"error":"…"}`, as Ollama's clients expect it, and KServe's, too.
std::string error_body(const Error& error);

}  // namespace autoglm::protocol::ollama
