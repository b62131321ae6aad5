#pragma once

#include <string>
#include <string_view>

namespace autoglm {

/// Appends `text`, which must be valid UTF-8, as a JSON string with its quotes.
void append_json_string(std::string& out, std::string_view text);

/// The JSON string as a new std::string.
inline std::string json_string(std::string_view text) {
  std::string out;
  append_json_string(out, text);
  return out;
}

/// Whether `text` is ASCII and needs no escapes in JSON, as nearly every string not written for people.
bool is_plain_json(std::string_view text);

}  // namespace autoglm
