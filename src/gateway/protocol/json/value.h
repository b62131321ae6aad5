#pragma once

#include "base/function_ref.h"
#include "base/result.h"

#include <simdjson.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace autoglm::protocol {

/// Where a value stands in its document: a chain on the stack, spelled out only for an error.
struct JsonPath {
  const JsonPath* parent = nullptr;
  std::string_view key;
  std::int64_t index = -1;

  std::string to_string() const;  ///< "messages[2].role"
};

/// A value of a request body that knows its place, so that errors can name it: every reader returns
/// kInvalidArgument with the field, the rule and the value it found.
class JsonValue {
 public:
  JsonValue(simdjson::dom::element element, JsonPath path) : element_(element), path_(path) {}

  bool is_null() const { return element_.is_null(); }
  bool is_string() const { return element_.is_string(); }
  bool is_array() const { return element_.is_array(); }
  bool is_object() const { return element_.is_object(); }
  bool is_integer() const { return element_.is_int64() || element_.is_uint64(); }

  Result<bool> as_bool() const;
  Result<double> as_number(double min, double max) const;
  Result<std::int64_t> as_integer(std::int64_t min, std::int64_t max) const;
  Result<std::string> as_string() const;
  /// The same, into `text`, which keeps its memory.
  Result<void> read_string(std::string& text) const;
  /// A string, or a list of at most `limit` strings.
  Result<std::vector<std::string>> as_strings(std::size_t limit) const;

  /// Calls `visit` for every item; stops at the first error.
  Result<void> for_each_item(FunctionRef<Result<void>(const JsonValue&)> visit) const;
  /// Calls `visit` for every member, in order.
  Result<void> for_each_member(FunctionRef<Result<void>(std::string_view, const JsonValue&)> visit) const;
  std::size_t item_count() const;
  /// The value as JSON, without white space.
  std::string as_json() const { return simdjson::minify(element_); }

  /// kInvalidArgument: "`path` must be `rule`, got `value`".
  Error wrong(std::string_view rule) const;
  std::string path() const { return path_.to_string(); }

 private:
  std::string excerpt() const;

  simdjson::dom::element element_;
  JsonPath path_;
};

/// Parses `body`, which must be one JSON object, and visits its members. The visited values are
/// valid only during the call. Errors: what is wrong with the document, in words.
Result<void> visit_json_object(std::string_view body,
                               FunctionRef<Result<void>(std::string_view, const JsonValue&)> visit);

}  // namespace autoglm::protocol
