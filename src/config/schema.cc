#include "config/render.h"
#include "config/scalar.h"

#include <boost/json.hpp>

#include <cmath>

namespace autoglm::config {

namespace {

namespace json = boost::json;

json::object schema_of(const Section& section, bool live, const void* value);

/// A bound as a JSON number without a needless fraction.
json::value number(double value) {
  if (std::nearbyint(value) == value && std::abs(value) < 1e15) return static_cast<std::int64_t>(value);
  return value;
}

void add_bounds(json::object& out, const FieldOptions& options, const char* low, const char* high) {
  if (options.min) out[low] = number(*options.min);
  if (options.max) out[high] = number(*options.max);
}

/// A number, or the name of a variable that holds one.
json::object or_variable(json::object type) {
  json::object out;
  out["anyOf"] = json::array{std::move(type), json::object{{"$ref", "#/$defs/variable"}}};
  return out;
}

json::array words(const std::vector<std::string>& names) {
  json::array out;
  for (const std::string& name : names) out.emplace_back(name);
  return out;
}

json::object scalar_schema(const Type& type, const FieldOptions& options) {
  json::object out;
  switch (type.kind) {
    case Kind::kBool:
      return or_variable({{"type", "boolean"}});
    case Kind::kInteger:
      out["type"] = "integer";
      if (type.lowest > INT64_MIN) out["minimum"] = type.lowest;
      if (type.highest < INT64_MAX) out["maximum"] = type.highest;
      add_bounds(out, options, "minimum", "maximum");
      return or_variable(std::move(out));
    case Kind::kNumber:
      out["type"] = "number";
      add_bounds(out, options, "minimum", "maximum");
      return or_variable(std::move(out));
    case Kind::kEnum: {
      out["enum"] = words(type.names);
      return or_variable(std::move(out));
    }
    case Kind::kDuration:
      return or_variable({{"type", {"string", "number"}},
                          {"minimum", 0},
                          {"pattern", R"(^([0-9.]+ ?(d|h|m|s|ms|us|ns))+$|^[0-9.]+$)"}});
    case Kind::kByteSize:
      return or_variable({{"type", {"string", "integer"}},
                          {"minimum", 0},
                          {"pattern", "^[0-9.]+ ?([KMGTkmgt][Ii]?[Bb]|[KMGTkmgt][Ii]|[Bb])?$"}});
    case Kind::kListenAddress:
      return or_variable({{"type", {"string", "integer"}}, {"pattern", "^(.*:)?[0-9]+$"}});
    default:
      // A plain 8080 or true is also valid where a text is expected.
      out["type"] = {"string", "number", "boolean"};
      add_bounds(out, options, "minLength", "maxLength");
      return out;
  }
}

/// `value` is the member in a struct as its initializers leave it: the default.
json::object field_schema(const Type& type, const FieldOptions& options, bool live, const void* value) {
  json::object out;
  switch (type.kind) {
    case Kind::kSection:
      return schema_of(*type.section, live, value);
    case Kind::kOptional: {
      const Section* nested = type.element->section.get();
      out["anyOf"] =
          json::array{field_schema(*type.element, options, live, nested ? nested->defaults.get() : nullptr),
                      json::object{{"type", "null"}}};
      return out;
    }
    case Kind::kList:
    case Kind::kMap: {
      const bool list = type.kind == Kind::kList;
      const Section* nested = type.element->section.get();
      out["type"] = {list ? "array" : "object", "null"};
      out[list ? "items" : "additionalProperties"] =
          field_schema(*type.element, options, live, nested ? nested->defaults.get() : nullptr);
      if (!type.names.empty())
        return json::object{
            {"anyOf", json::array{std::move(out), json::object{{"enum", words(type.names)}}}}};
      return out;
    }
    default:
      out = scalar_schema(type, options);
  }
  if (value == nullptr || options.required || options.secret) return out;
  const Scalar fallback = type.fetch(value);
  switch (type.kind) {
    case Kind::kBool:
      out["default"] = std::get<bool>(fallback);
      break;
    case Kind::kInteger:
      out["default"] = std::get<std::int64_t>(fallback);
      break;
    case Kind::kNumber:
      out["default"] = number(std::get<double>(fallback));
      break;
    default:
      out["default"] = print_scalar(type, fallback);
  }
  return out;
}

json::object schema_of(const Section& section, bool live, const void* value) {
  json::object properties;
  json::array required;
  for (const Field& field : section.fields) {
    const bool is_live = section.is_live(field, live);
    json::object schema = field_schema(field.type, field.options, is_live, field.locate_in(value));
    if (!field.options.doc.empty()) schema["description"] = field.options.doc;
    if (!field.options.example.empty()) schema["examples"] = json::array{json::string(field.options.example)};
    if (field.options.secret) schema["writeOnly"] = true;
    if (is_live) schema["x-live"] = true;
    properties[field.name] = std::move(schema);
    if (field.options.required) required.emplace_back(field.name);
  }
  json::object out{
      {"type", {"object", "null"}}, {"properties", std::move(properties)}, {"additionalProperties", false}};
  if (!required.empty()) {
    out["required"] = std::move(required);
    out["type"] = "object";
  }
  return out;
}

/// Boost.JSON writes on one line; a file under version control wants one fact a line.
void indent(std::string& out, const json::value& value, const std::string& margin) {
  const auto items = [&](const auto& range, char open, char close, const auto& write) {
    out += open;
    bool first = true;
    for (const auto& item : range) {
      out += (first ? "\n" : ",\n") + margin + "  ";
      first = false;
      write(item);
    }
    out += '\n' + margin + close;
  };
  const bool nested_array =
      value.is_array() && !value.get_array().empty() && value.get_array().front().is_object();
  if (value.is_object() && !value.get_object().empty()) {
    items(value.get_object(), '{', '}', [&](const auto& member) {
      out += json::serialize(json::string(member.key())) + ": ";
      indent(out, member.value(), margin + "  ");
    });
  } else if (nested_array) {
    items(value.get_array(), '[', ']', [&](const auto& item) { indent(out, item, margin + "  "); });
  } else {
    out += json::serialize(value);
  }
}

}  // namespace

std::string json_schema(const Section& root, const std::string& title) {
  json::object schema{{"$schema", "https://json-schema.org/draft/2020-12/schema"}, {"title", title}};
  if (!root.doc.empty()) schema["description"] = root.doc;
  for (auto& [key, value] : schema_of(root, false, root.defaults.get())) schema[key] = std::move(value);
  schema["$defs"] = {
      {"variable",
       {{"type", "string"},
        {"pattern", "[$][{]env:.+[}]"},
        {"description", "Expanded from the environment: ${env:NAME} or ${env:NAME:-default}."}}}};
  std::string out;
  indent(out, schema, "");
  return out + '\n';
}

}  // namespace autoglm::config
