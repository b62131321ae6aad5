#pragma once

#include "base/result.h"

#include <string_view>

namespace autoglm::engine {

/// Checks that llama.cpp can convert a JSON schema to a grammar, and finds what its conversion overlooks:
/// bounds that exclude each other, circular references, schemas that would take it minutes, and schemas that
/// it would change. Unknown keywords are no error; docs/serving.md lists the supported ones. Errors:
/// kInvalidArgument without a field, whose message says where ("at #/properties/age: …").
Result<void> check_schema(std::string_view schema);

}  // namespace autoglm::engine
