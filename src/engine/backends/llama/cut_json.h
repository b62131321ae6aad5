#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace autoglm::engine {

/// Completes `text`, the beginning of JSON that was cut somewhere: open strings, lists and objects are
/// closed, and a member whose value is missing is left out. Complete JSON is returned unchanged. Nothing:
/// `text` is not the beginning of JSON, or is nested over `most_depth` levels deep.
std::optional<std::string> whole_json(std::string_view text, std::size_t most_depth);

}  // namespace autoglm::engine
