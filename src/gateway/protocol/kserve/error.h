#pragma once

#include "gateway/protocol/ollama/error.h"

namespace autoglm::protocol::kserve {

/// `{"error":"…"}`: the same as Ollama's.
inline std::string error_body(const Error& error) { return ollama::error_body(error); }

}  // namespace autoglm::protocol::kserve
