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

/// `object` with some of its own members set: replaced where they stand, else added at the end. Everything
/// else stays byte for byte. `object` must be one valid JSON object, as a codec has read it. One pass.
std::string edit_members(std::string_view object, std::span<const JsonEdit> edits);

}  // namespace autoglm::protocol
