#pragma once

#include "gateway/protocol/json/value.h"

#include <cstdint>
#include <span>
#include <string_view>

namespace autoglm::protocol {

/// One field of a body: its name and how it is read into a `T`. A null counts as absent, as OpenAI's clients
/// mean it.
template <class T>
struct JsonField {
  std::string_view name;
  Result<void> (*read)(const JsonValue& value, T& target);
};

/// Reads `body` into `target` by the given tables, the first that knows a name wins; returns how
/// many members no table knows. The last of several members with one name wins.
template <class T, class... Tables>
Result<std::uint32_t> read_fields(std::string_view body, T& target, const Tables&... tables) {
  std::uint32_t unknown = 0;
  const auto read_by = [&](const auto& table, std::string_view name, const JsonValue& value,
                           Result<void>& result) {
    for (const auto& field : table) {
      if (field.name != name) continue;
      if (!value.is_null()) result = field.read(value, target);
      return true;
    }
    return false;
  };
  auto visited = visit_json_object(body, [&](std::string_view name, const JsonValue& value) {
    Result<void> result;
    if (!(read_by(tables, name, value, result) || ...)) ++unknown;
    return result;
  });
  if (!visited) return fail(visited.error());
  return unknown;
}

}  // namespace autoglm::protocol
