#pragma once

#include <string>
#include <string_view>

namespace autoglm {

/// Appends `text`, which must be valid UTF-8, as a JSON string with its quotes.
void append_json_string(std::string& out, std::string_view text);

}  // namespace autoglm
