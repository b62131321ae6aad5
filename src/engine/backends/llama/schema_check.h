#pragma once

#include "base/result.h"

#include <string_view>

namespace autoglm::engine {

/// Whether llama.cpp can convert a JSON schema to a grammar; and what its conversion does not see: bounds
/// that exclude each other, references in a circle, what would make it run for minutes, and what it would
/// make another schema of. Keywords that it does not know are no error; docs/serving.md names those that it
/// keeps to. Errors: kInvalidArgument without a field, whose message says where ("at #/properties/age: …").
Result<void> check_schema(std::string_view schema);

}  // namespace autoglm::engine
