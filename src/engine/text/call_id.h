#pragma once

#include <string>
#include <string_view>

namespace autoglm::engine {

/// The id of a tool call, derived from `seed`: nine letters and digits, which is what the templates that
/// check ids insist on (Mistral's).
std::string call_id(std::string_view seed);

/// Whether such templates accept `id`.
bool is_call_id(std::string_view id);

}  // namespace autoglm::engine
