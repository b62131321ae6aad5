#pragma once

#include "base/function_ref.h"

#include <cstddef>
#include <string_view>

namespace autoglm::protocol {

/// One of an object's own members, where it stands.
struct JsonMember {
  std::string_view name;  ///< unescaped, as a codec's parser reads it
  std::size_t begin = 0;  ///< of its value
  std::size_t end = 0;    ///< past its last byte

  std::string_view value_in(std::string_view object) const { return object.substr(begin, end - begin); }
};

/// Calls `visit` for each member in order; returns where the last one ends. `object` must be one valid JSON
/// object, as a codec has read it. The one reader of bytes that are passed on: a search for a name between
/// quotes would miss `"m\u0065ssages"`. One pass; a name with escapes is valid during the call.
std::size_t for_each_json_member(std::string_view object, FunctionRef<void(const JsonMember&)> visit);

}  // namespace autoglm::protocol
