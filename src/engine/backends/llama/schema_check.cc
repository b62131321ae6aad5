#include "engine/backends/llama/schema_check.h"

#include "base/utf8.h"

#include <json-schema.h>
#include <json.h>
#include <boost/json.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <exception>
#include <limits>
#include <optional>
#include <set>
#include <string>

namespace autoglm::engine {

namespace {

namespace json = boost::json;

constexpr std::size_t kMostNodes = 10'000;
constexpr std::size_t kMostDepth = 500;       // of the call stack, including references
constexpr std::size_t kMostOptional = 500;    // the conversion's time grows with its third power
constexpr double kMostRepeats = 2000;         // that a grammar may contain
constexpr std::size_t kMostPathBytes = 4096;  // rules are named after their place
constexpr std::size_t kMostTextBytes = 1 << 20;
constexpr std::size_t kMostBytes = 4 << 20;  // descriptions included
constexpr std::size_t kMostJsonDepth = 200;

/// A schema's place in another: lists and objects of schemas are separate steps.
struct Place {
  const Place* parent = nullptr;
  std::string_view step = "#";
  std::size_t bytes = 0;
  std::size_t depth = 0;  // of the call stack

  Place below(std::string_view next) const { return {this, next, bytes + next.size(), depth + 1}; }
  std::string text() const {
    return parent == nullptr ? std::string(step) : fmt::format("{}/{}", parent->text(), step);
  }
};

std::optional<double> number_at(const json::object& node, std::string_view key) {
  const json::value* value = node.if_contains(key);
  if (value == nullptr || !value->is_number()) return std::nullopt;
  return value->to_number<double>();
}

std::string_view string_at(const json::object& node, std::string_view key) {
  const json::value* value = node.if_contains(key);
  const json::string* text = value != nullptr ? value->if_string() : nullptr;
  return text != nullptr ? std::string_view(*text) : std::string_view();
}

/// The bytes that its grammar repeats, approximately.
std::size_t text_of(const json::object& node) {
  std::size_t bytes = 0;
  for (const std::string_view key : {"pattern", "const", "enum"}) {
    if (const json::value* value = node.if_contains(key)) bytes += json::serialize(*value).size();
  }
  return bytes;
}

/// Whether the schema allows `type`, as its type or one of its types.
bool may_be(const json::object& node, std::string_view type) {
  const json::value* types = node.if_contains("type");
  if (types == nullptr || !types->is_array()) return string_at(node, "type") == type;
  return std::ranges::any_of(types->get_array(), [type](const json::value& each) {
    return each.is_string() && std::string_view(each.get_string()) == type;
  });
}

bool has_any(const json::object& node, std::initializer_list<std::string_view> keys) {
  return std::ranges::any_of(keys, [&](std::string_view key) { return node.contains(key); });
}

/// Finds schemas that llama.cpp's conversion would take too long for, or whose faults it overlooks. Walks a
/// schema as the conversion does, in its order: a referenced schema once for each spelling of its place, a
/// schema with several types once for each.
class SchemaCheck {
 public:
  explicit SchemaCheck(const json::value& root) : root_(root) {}

  Result<void> walk(const json::value& value, const Place& place) {
    const json::object* node = value.if_object();
    if (node == nullptr) return {};  // the conversion reports this
    if (++nodes_ > kMostNodes) return refuse(place, fmt::format("it has over {} schemas in it", kMostNodes));
    if (place.depth > kMostDepth)
      return refuse(place, fmt::format("it is nested over {} levels deep", kMostDepth));
    if (place.bytes > kMostPathBytes)
      return refuse(place, fmt::format("names are over {} bytes long together", kMostPathBytes));
    if ((text_ += place.bytes + text_of(*node)) > kMostTextBytes)
      return refuse(place, fmt::format("its names, values and patterns are over {} bytes", kMostTextBytes));
    if (node->contains("$ref")) return reference(value, place);
    if (auto checked = bounds(*node, place); !checked) return checked;
    if (auto checked = counts(*node, place); !checked) return checked;
    if (auto checked = required(*node, place); !checked) return checked;
    if (auto checked = all_of(*node, place); !checked) return checked;
    for (const std::string_view key : {"oneOf", "anyOf"}) {
      if (node->contains(key)) return below(*node, key, place);
    }
    const json::value* types = node->if_contains("type");
    if (types == nullptr || !types->is_array()) return children(*node, string_at(*node, "type"), place);
    for (const json::value& type : types->get_array()) {
      if (!type.is_string()) continue;
      if (auto checked = children(*node, type.get_string(), place); !checked) return checked;
    }
    return {};
  }

 private:
  static std::unexpected<Error> refuse(const Place& place, std::string_view why) {
    return fail(ErrorCode::kInvalidArgument, fmt::format("at {}: {}", excerpt(place.text(), 200), why));
  }

  /// The subschemas that apply to `type`; an empty `type` means any.
  Result<void> children(const json::object& node, std::string_view type, const Place& place) {
    if (has_any(node, {"const", "enum"})) return {};
    const bool any = type.empty();
    const json::value* more = node.if_contains("additionalProperties");
    const bool has_properties =
        node.contains("properties") || (more != nullptr && *more != json::value(true));
    if (has_properties && (any || type == "object")) {
      if (auto checked = below(node, "properties", place); !checked) return checked;
      return below(node, "additionalProperties", place);
    }
    if (node.contains("allOf") && (any || type == "object" || type == "string"))
      return below(node, "allOf", place);
    if (!any && type != "array") return {};
    for (const std::string_view key : {"prefixItems", "items", "additionalItems"}) {
      if (auto checked = below(node, key, place); !checked) return checked;
    }
    return {};
  }

  /// Walks a schema, a list of schemas, or, for "properties", an object of schemas.
  Result<void> below(const json::object& node, std::string_view key, const Place& place) {
    const json::value* value = node.if_contains(key);
    if (value == nullptr) return {};
    Place here = place.below(key);
    here.bytes = place.bytes;  // not part of a rule's name
    if (key == "properties" && value->is_object()) {
      for (const auto& [name, each] : value->get_object()) {
        if (auto checked = walk(each, here.below(name)); !checked) return checked;
      }
    } else if (value->is_array()) {
      for (std::size_t i = 0; i < value->get_array().size(); ++i) {
        const std::string number = std::to_string(i);
        if (auto checked = walk(value->get_array()[i], here.below(number)); !checked) return checked;
      }
    } else {
      return walk(*value, here);
    }
    return {};
  }

  /// A step of a JSON pointer in a URI fragment, with its escapes decoded (RFC 6901); the conversion reports
  /// malformed ones.
  static std::string unescape(std::string_view step) {
    std::string bytes;
    for (std::size_t i = 0; i < step.size(); ++i) {
      unsigned byte = 0;
      const char* const digits = step.data() + i + 1;
      const bool escaped = step[i] == '%' && i + 2 < step.size() &&
                           std::from_chars(digits, digits + 2, byte, 16).ptr == digits + 2;
      bytes += escaped ? static_cast<char>(byte) : step[i];
      if (escaped) i += 2;
    }
    std::string out;
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      const bool escaped = bytes[i] == '~' && i + 1 < bytes.size();
      out += !escaped ? bytes[i] : bytes[i + 1] == '1' ? '/' : '~';
      if (escaped) ++i;
    }
    return out;
  }

  const json::value* find(std::string_view pointer) const {
    const json::value* target = &root_;
    while (target != nullptr) {
      const std::size_t end = std::min(pointer.find('/'), pointer.size());
      const std::string step = unescape(pointer.substr(0, end));
      if (const json::object* object = target->if_object()) {
        target = object->if_contains(step);
      } else if (const json::array* array = target->if_array()) {
        std::size_t index = array->size();
        std::from_chars(step.data(), step.data() + step.size(), index);
        target = array->if_contains(index);
      } else {
        target = nullptr;
      }
      if (end == pointer.size()) break;
      pointer.remove_prefix(end + 1);
    }
    return target;
  }

  /// The schema to which `value` refers in the end; null: the conversion cannot find it either.
  Result<const json::value*> resolve(const json::value& value, const Place& place) const {
    const json::value* target = &value;
    for (std::size_t hops = 0; target->is_object() && target->get_object().contains("$ref"); ++hops) {
      if (hops > kMostDepth) return refuse(place, "$ref refers to itself");
      const std::string_view pointer = string_at(target->get_object(), "$ref");
      // Rules are named after it, by a regular expression that uses call stack for each byte.
      if (pointer.size() > kMostPathBytes)
        return refuse(place, fmt::format("$ref is over {} bytes long", kMostPathBytes));
      target = pointer == "#" ? &root_ : pointer.starts_with("#/") ? find(pointer.substr(2)) : nullptr;
      if (target == nullptr) break;
    }
    return target;
  }

  Result<void> reference(const json::value& value, const Place& place) {
    const auto target = resolve(value, place);
    if (!target) return fail(target.error());
    const auto [pointer, is_new] = seen_.emplace(string_at(value.get_object(), "$ref"));
    if (*target == nullptr || !is_new) return {};
    const Place there{.parent = nullptr, .step = *pointer, .bytes = place.bytes, .depth = place.depth + 1};
    return walk(**target, there);
  }

  /// The conversion checks integers' bounds itself and ignores other numbers' bounds, which are checked here.
  static Result<void> bounds(const json::object& node, const Place& place) {
    if (may_be(node, "integer")) return {};
    double lowest = -std::numeric_limits<double>::infinity();
    double highest = std::numeric_limits<double>::infinity();
    bool open = false;  // whether one of the bounds is exclusive
    for (const std::string_view key : {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}) {
      const auto bound = number_at(node, key);
      if (!bound) continue;
      if (key.ends_with("inimum")) lowest = std::max(lowest, *bound);
      if (key.ends_with("aximum")) highest = std::min(highest, *bound);
      open |= key.starts_with("exclusive");
    }
    if (lowest > highest || (open && lowest == highest))
      return refuse(place, "no number is within its bounds");
    return {};
  }

  static Result<void> counts(const json::object& node, const Place& place) {
    for (const std::string_view what : {"Length", "Items", "Properties"}) {
      const auto least = number_at(node, fmt::format("min{}", what));
      const auto most = number_at(node, fmt::format("max{}", what));
      if (least.value_or(0) > kMostRepeats)
        return refuse(place, fmt::format("min{} is at most {} here", what, kMostRepeats));
      if (most.value_or(0) > std::numeric_limits<int>::max())
        return refuse(place, fmt::format("max{} is at most {} here", what, std::numeric_limits<int>::max()));
      if (least && most && *least > *most) return refuse(place, fmt::format("min{0} is above max{0}", what));
    }
    return {};
  }

  static Result<void> required(const json::object& node, const Place& place) {
    const json::value* named = node.if_contains("properties");
    const json::object* properties = named != nullptr ? named->if_object() : nullptr;
    std::set<std::string_view> names;
    if (const json::value* list = node.if_contains("required")) {
      if (!list->is_array()) return refuse(place, "required must be a list of names");
      for (const json::value& name : list->get_array()) {
        if (!name.is_string()) return refuse(place, "required must be a list of names");
        names.insert(name.get_string());
      }
    }
    if (properties == nullptr) return {};
    const bool joined = has_any(node, {"anyOf", "oneOf", "allOf"});
    std::size_t optional = properties->size();
    for (const std::string_view name : names) {
      if (properties->contains(name)) {
        --optional;
      } else if (!joined) {
        return refuse(place, fmt::format("{} is required, but not one of its properties", name));
      }
    }
    if (optional > kMostOptional)
      return refuse(place, fmt::format("over {} of its properties are not required", kMostOptional));
    return {};
  }

  /// The conversion merges objects and intersects lists of values. Anything else becomes an empty object.
  Result<void> all_of(const json::object& node, const Place& place) const {
    const json::value* parts = node.if_contains("allOf");
    if (parts == nullptr || !parts->is_array()) return {};
    std::size_t properties = 0;
    const auto join = [&](const json::value& part) -> Result<void> {
      const auto target = resolve(part, place);
      if (!target) return fail(target.error());
      if (*target == nullptr || !(*target)->is_object()) return {};
      const json::object& object = (*target)->get_object();
      if (!joins(object)) return refuse(place, "allOf joins only objects with properties, and enums");
      const json::value* named = object.if_contains("properties");
      if (named != nullptr && named->is_object()) properties += named->get_object().size();
      if (properties > kMostOptional)
        return refuse(place, fmt::format("allOf joins over {} properties", kMostOptional));
      return {};
    };
    for (const json::value& part : parts->get_array()) {
      const json::value* alternatives = part.is_object() ? part.get_object().if_contains("anyOf") : nullptr;
      if (alternatives == nullptr || !alternatives->is_array()) {
        if (auto joined = join(part); !joined) return joined;
        continue;
      }
      for (const json::value& each : alternatives->get_array()) {
        if (auto joined = join(each); !joined) return joined;
      }
    }
    return {};
  }

  static bool joins(const json::object& part) {
    if (part.contains("enum")) return true;
    if (has_any(part, {"const", "allOf", "anyOf", "oneOf", "items", "prefixItems", "pattern"})) return false;
    const json::value* type = part.if_contains("type");
    return type == nullptr || string_at(part, "type") == "object";
  }

  const json::value& root_;
  std::size_t nodes_ = 0;
  std::size_t text_ = 0;
  std::set<std::string> seen_;  // references already walked
};

}  // namespace

Result<void> check_schema(std::string_view schema) {
  if (schema.size() > kMostBytes)
    return fail(ErrorCode::kInvalidArgument, fmt::format("it is over {} bytes", kMostBytes));
  boost::system::error_code error;
  json::parse_options options;
  options.max_depth = kMostJsonDepth;
  const json::value root = json::parse(schema, error, {}, options);
  if (error) return fail(ErrorCode::kInvalidArgument, fmt::format("it is not JSON: {}", error.message()));
  if (auto walked = SchemaCheck(root).walk(root, {}); !walked) return walked;
  try {
    common_chat_schema_from_json(common_json::parse(std::string(schema)));
  } catch (const std::exception& exception) {
    std::string_view why = exception.what();
    constexpr std::string_view kPlaced = "JSON schema error ";  // "at #/…" follows, as in our messages
    if (why.starts_with(kPlaced)) why.remove_prefix(kPlaced.size());
    return fail(ErrorCode::kInvalidArgument, excerpt(why, 300));
  }
  return {};
}

}  // namespace autoglm::engine
