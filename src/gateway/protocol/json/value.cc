#include "gateway/protocol/json/value.h"

#include "base/utf8.h"

#include <fmt/format.h>
#include <algorithm>
#include <cmath>
#include <optional>

namespace autoglm::protocol {

namespace {

constexpr std::size_t kExcerptLength = 64;
constexpr std::size_t kMaxDepth = 128;
// A thread keeps its parser's memory between requests. A larger body has a parser of its own, which takes
// thirteen times the body's memory and is gone with it.
constexpr std::size_t kKeptCapacity = std::size_t{1} << 20U;

/// Where below `value` a number stands that the parser refuses; empty: nowhere.
std::string place_of_bad_number(simdjson::ondemand::value value, const JsonPath& path) {
  simdjson::ondemand::json_type type{};
  if (value.type().get(type) != simdjson::SUCCESS) return {};
  if (type == simdjson::ondemand::json_type::number) {
    simdjson::ondemand::number number;
    return value.get_number().get(number) == simdjson::SUCCESS ? std::string() : path.to_string();
  }
  if (type == simdjson::ondemand::json_type::array) {
    simdjson::ondemand::array array;
    if (value.get_array().get(array) != simdjson::SUCCESS) return {};
    std::int64_t index = 0;
    for (auto each : array) {
      simdjson::ondemand::value item;
      if (each.get(item) != simdjson::SUCCESS) return {};
      std::string place = place_of_bad_number(item, {.parent = &path, .index = index++});
      if (!place.empty()) return place;
    }
  }
  if (type == simdjson::ondemand::json_type::object) {
    simdjson::ondemand::object object;
    if (value.get_object().get(object) != simdjson::SUCCESS) return {};
    for (auto field : object) {
      std::string_view key;
      simdjson::ondemand::value item;
      if (field.unescaped_key().get(key) != simdjson::SUCCESS || field.value().get(item) != simdjson::SUCCESS)
        return {};
      std::string place = place_of_bad_number(item, {.parent = &path, .key = key});
      if (!place.empty()) return place;
    }
  }
  return {};
}

/// The encoding whose byte order mark begins `body`; empty: there is none.
std::string_view byte_order_mark(std::string_view body) {
  if (body.starts_with("\xEF\xBB\xBF")) return "UTF-8's";
  return body.starts_with("\xFF\xFE") || body.starts_with("\xFE\xFF") ? "UTF-16's" : "";
}

/// The parser refuses the whole document for a number beyond 64 bits; finds the number's field.
std::string field_of_bad_number(std::string_view body) {
  simdjson::ondemand::parser parser;
  const simdjson::padded_string padded(body);
  simdjson::ondemand::document document;
  simdjson::ondemand::value root;
  if (parser.allocate(body.size(), kMaxDepth) != simdjson::SUCCESS ||
      parser.iterate(padded).get(document) != simdjson::SUCCESS ||
      document.get_value().get(root) != simdjson::SUCCESS) {
    return {};
  }
  return place_of_bad_number(root, {});
}

/// Newer versions of the library tell numbers of too many bits from malformed ones.
template <class Code>
bool is_of_a_number(Code code) {
  if constexpr (requires { Code::BIGINT_ERROR; }) {
    if (code == Code::BIGINT_ERROR) return true;
  }
  return code == Code::NUMBER_ERROR;
}

Error bad_document(simdjson::error_code code, std::string_view body) {
  if (code == simdjson::MEMALLOC) throw std::bad_alloc();
  if (is_of_a_number(code)) {
    const std::string field = field_of_bad_number(body);
    if (!field.empty()) {
      return invalid_field(field, fmt::format("{} is a number that is malformed or far out of range", field));
    }
  }
  std::string what;
  if (body.empty()) {
    what = "the body is empty; send a JSON object with Content-Type: application/json";
  } else if (code == simdjson::UTF8_ERROR) {
    what = "the body is not valid UTF-8";
  } else if (code == simdjson::DEPTH_ERROR) {
    what = fmt::format("the body nests deeper than {} levels", kMaxDepth);
  } else {
    what = fmt::format("the body is not valid JSON: {}", simdjson::error_message(code));
  }
  return Error{.code = ErrorCode::kInvalidArgument,
               .origin = Origin::kClient,
               .message = std::move(what),
               .reason = "invalid_json"};
}

}  // namespace

std::string JsonPath::to_string() const {
  std::string text = parent != nullptr ? parent->to_string() : "";
  if (index >= 0) return fmt::format("{}[{}]", text, index);
  if (!text.empty() && !key.empty()) text += '.';
  return text.append(key);
}

std::string JsonValue::excerpt() const {
  if (element_.is_object()) return "an object";
  if (element_.is_array()) return "a list";
  return autoglm::excerpt(simdjson::minify(element_), kExcerptLength);
}

Error JsonValue::wrong(std::string_view rule) const {
  const std::string where = path();
  return invalid_field(where, fmt::format("{} must be {}, got {}", where, rule, excerpt()));
}

Result<bool> JsonValue::as_bool() const {
  bool value = false;
  if (element_.get(value) != simdjson::SUCCESS) return fail(wrong("true or false"));
  return value;
}

Result<double> JsonValue::as_number(double min, double max) const {
  double value = 0;
  if (!element_.is_number() || element_.get(value) != simdjson::SUCCESS || !(value >= min && value <= max)) {
    return fail(wrong(std::isfinite(max) ? fmt::format("a number between {} and {}", min, max)
                                         : fmt::format("a number of at least {}", min)));
  }
  return value;
}

Result<std::int64_t> JsonValue::as_integer(std::int64_t min, std::int64_t max) const {
  std::int64_t value = 0;
  double real = 0;
  bool ok = element_.get(value) == simdjson::SUCCESS;
  // Clients of dynamic languages send 16.0 for 16.
  if (!ok && element_.is_double() && element_.get(real) == simdjson::SUCCESS && std::abs(real) < 9e15 &&
      real == std::floor(real)) {
    value = static_cast<std::int64_t>(real);
    ok = true;
  }
  if (!ok || value < min || value > max) {
    if (max == INT64_MAX || max == INT32_MAX)
      return fail(wrong(fmt::format("a whole number of at least {}", min)));
    return fail(wrong(fmt::format("a whole number between {} and {}", min, max)));
  }
  return value;
}

Result<std::string> JsonValue::as_string() const {
  std::string_view value;
  if (element_.get(value) != simdjson::SUCCESS) return fail(wrong("a string"));
  return std::string(value);
}

Result<void> JsonValue::read_string(std::string& text) const {
  std::string_view value;
  if (element_.get(value) != simdjson::SUCCESS) return fail(wrong("a string"));
  text = value;
  return {};
}

Result<std::vector<std::string>> JsonValue::as_strings(std::size_t limit) const {
  std::vector<std::string> strings;
  if (is_string()) {
    strings.push_back(*as_string());
    return strings;
  }
  if (!is_array()) return fail(wrong("a string or a list of strings"));
  if (item_count() > limit) {
    return fail(invalid_field(
        path(), fmt::format("{} takes at most {} strings, got {}", path(), limit, item_count())));
  }
  auto visited = for_each_item([&](const JsonValue& item) -> Result<void> {
    auto text = item.as_string();
    if (!text) return fail(text.error());
    strings.push_back(std::move(*text));
    return {};
  });
  if (!visited) return fail(visited.error());
  return strings;
}

std::size_t JsonValue::item_count() const {
  simdjson::dom::array array;
  if (element_.get(array) != simdjson::SUCCESS) return 0;
  // The parser's own count saturates at 2^24-1, far beyond what a body may hold.
  return array.size();
}

Result<void> JsonValue::for_each_item(FunctionRef<Result<void>(const JsonValue&)> visit) const {
  simdjson::dom::array array;
  if (element_.get(array) != simdjson::SUCCESS) return fail(wrong("a list"));
  std::int64_t index = 0;
  for (const simdjson::dom::element item : array) {
    const JsonValue value(item, JsonPath{.parent = &path_, .index = index++});
    if (auto result = visit(value); !result) return result;
  }
  return {};
}

Result<void> JsonValue::for_each_member(
    FunctionRef<Result<void>(std::string_view, const JsonValue&)> visit) const {
  simdjson::dom::object object;
  if (element_.get(object) != simdjson::SUCCESS) return fail(wrong("an object"));
  for (const auto member : object) {
    const JsonValue value(member.value, JsonPath{.parent = &path_, .key = member.key});
    if (auto result = visit(member.key, value); !result) return result;
  }
  return {};
}

Result<void> visit_json_object(std::string_view body,
                               FunctionRef<Result<void>(std::string_view, const JsonValue&)> visit) {
  if (const std::string_view mark = byte_order_mark(body); !mark.empty()) {
    return fail(Error{
        .code = ErrorCode::kInvalidArgument,
        .origin = Origin::kClient,
        .message = fmt::format("the body begins with a byte order mark, {}; send UTF-8 without one", mark),
        .reason = "invalid_json"});
  }
  thread_local simdjson::dom::parser kept;
  std::optional<simdjson::dom::parser> large;
  simdjson::dom::parser& parser = body.size() > kKeptCapacity ? large.emplace() : kept;
  simdjson::error_code code = simdjson::SUCCESS;
  if (parser.max_depth() != kMaxDepth || parser.capacity() < body.size()) {
    code = parser.allocate(std::max<std::size_t>(body.size(), 4096), kMaxDepth);
  }
  simdjson::dom::element root;
  if (code == simdjson::SUCCESS) code = parser.parse(body.data(), body.size()).get(root);
  if (code != simdjson::SUCCESS) return fail(bad_document(code, body));
  if (!root.is_object()) {
    return fail(Error{.code = ErrorCode::kInvalidArgument,
                      .origin = Origin::kClient,
                      .message = "the body must be a JSON object, e.g. {\"prompt\": \"Hello\"}",
                      .reason = "invalid_json"});
  }
  return JsonValue(root, JsonPath{}).for_each_member(visit);
}

}  // namespace autoglm::protocol
