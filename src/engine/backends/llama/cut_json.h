#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace autoglm::engine {

/// `text`, the beginning of JSON that was cut somewhere, as whole JSON: open strings, lists and objects are
/// closed, and a member whose value is missing is left out. Whole JSON stays as it is. Nothing: no JSON
/// begins so, or it is nested over `most_depth` levels deep.
std::optional<std::string> whole_json(std::string_view text, std::size_t most_depth);

}  // namespace autoglm::engine
