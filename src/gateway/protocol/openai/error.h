#pragma once

#include "base/error.h"

#include <string>

namespace autoglm::protocol::openai {

/// `{"error":{"message","type","param","code"}}`, as OpenAI's clients expect it.
std::string error_body(const Error& error);

}  // namespace autoglm::protocol::openai
