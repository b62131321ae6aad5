#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace autoglm::protocol {

/// A member of a JSON object: its new value, as JSON.
struct JsonEdit {
  std::string_view key;
  std::string value;
};

/// `object` with some of its own members set: replaced in place, at each occurrence, else added at the end.
/// Everything else stays byte for byte. `object` must be one valid JSON object, as a codec has read it. One
/// pass.
std::string edit_members(std::string_view object, std::span<const JsonEdit> edits);

/// The value of one of its own members, as written; empty when there is none. Of several with one name the
/// last that is not null, as codecs read them. `object` as above.
std::string_view member_value(std::string_view object, std::string_view key);

/// `text` without white space, if it is one JSON object.
std::optional<std::string> compact_object(std::string_view text);

}  // namespace autoglm::protocol
