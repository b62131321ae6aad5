#pragma once

#include "base/json_string.h"

#include <fmt/format.h>

#include <iterator>
#include <optional>
#include <string>
#include <string_view>

namespace autoglm::protocol {

/// Appends one JSON object to a text, member by member. Names need no escapes. Call `end` last.
class JsonObjectWriter {
 public:
  explicit JsonObjectWriter(std::string& out) : out_(out) { out_ += '{'; }

  /// The text, to which the member's value is to be appended.
  std::string& key(std::string_view name) {
    if (out_.back() != '{') out_ += ',';
    return out_.append(1, '"').append(name).append("\":");
  }
  void json(std::string_view name, std::string_view value) { key(name) += value; }
  void text(std::string_view name, std::string_view value) { append_json_string(key(name), value); }
  void flag(std::string_view name, bool value) { key(name) += value ? "true" : "false"; }
  template <class Number>
  void number(std::string_view name, Number value) {
    fmt::format_to(std::back_inserter(key(name)), "{}", value);
  }
  /// Only what is there.
  template <class Number>
  void number(std::string_view name, const std::optional<Number>& value) {
    if (value) number(name, *value);
  }
  void end() { out_ += '}'; }

 private:
  std::string& out_;
};

}  // namespace autoglm::protocol
