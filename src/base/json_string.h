#pragma once

#include <string>
#include <string_view>

namespace autoglm {

/// Appends `text`, which must be valid UTF-8, as a JSON string with its quotes.
void append_json_string(std::string& out, std::string_view text);

/// The same, as a value of its own.
inline std::string json_string(std::string_view text) {
  std::string out;
  append_json_string(out, text);
  return out;
}

/// Whether `text` stands in JSON as it is, and is ASCII: so is nearly every string that is not for people.
bool is_plain_json(std::string_view text);

}  // namespace autoglm
