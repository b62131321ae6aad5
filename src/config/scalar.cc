#include "config/scalar.h"

#include "base/redact.h"
#include "base/suggest.h"
#include "config/diagnostic.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>

namespace autoglm::config {

namespace {

/// A bound in the notation of its kind.
std::string print_bound(const Type& type, double bound) {
  switch (type.kind) {
    case Kind::kDuration:
      return to_string(Duration(std::chrono::nanoseconds(std::llround(bound * 1e9))));
    case Kind::kByteSize:
      return to_string(ByteSize{std::llround(bound)});
    default:
      return fmt::format("{}", bound);
  }
}

/// The number that is compared with a bound.
double measure(const Type& type, const Scalar& value) {
  switch (type.kind) {
    case Kind::kDuration:
      return static_cast<double>(std::get<std::int64_t>(value)) * 1e-9;
    case Kind::kInteger:
    case Kind::kByteSize:
      return static_cast<double>(std::get<std::int64_t>(value));
    case Kind::kNumber:
      return std::get<double>(value);
    case Kind::kString:
      return static_cast<double>(std::get<std::string>(value).size());
    default:
      return 0;
  }
}

Parsed<Scalar> parse_bool(const std::string& text) {
  std::string lower = text;
  std::ranges::transform(lower, lower.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  for (const char* yes : {"true", "yes", "on", "1"}) {
    if (lower == yes) return true;
  }
  for (const char* no : {"false", "no", "off", "0"}) {
    if (lower == no) return false;
  }
  return std::unexpected("must be true or false");
}

Parsed<Scalar> parse_integer(const Type& type, const FieldOptions& options, const std::string& text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc::invalid_argument || end != text.data() + text.size()) {
    return std::unexpected("must be a whole number");
  }
  if (error != std::errc() || value < type.lowest || value > type.highest) {
    return std::unexpected("must be " + name_bounds(type, options));
  }
  return value;
}

Parsed<Scalar> parse_number(const std::string& text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value)) {
    return std::unexpected("must be a number");
  }
  return value;
}

Parsed<Scalar> parse_enum(const Type& type, const std::string& text) {
  for (std::size_t i = 0; i < type.names.size(); ++i) {
    if (type.names[i] == text) return static_cast<std::int64_t>(i);
  }
  return std::unexpected(fmt::format("must be one of {}", fmt::join(type.names, ", ")));
}

Parsed<Scalar> parse_kind(const Type& type, const FieldOptions& options, const std::string& text) {
  switch (type.kind) {
    case Kind::kBool:
      return parse_bool(text);
    case Kind::kInteger:
      return parse_integer(type, options, text);
    case Kind::kNumber:
      return parse_number(text);
    case Kind::kEnum:
      return parse_enum(type, text);
    case Kind::kDuration:
      if (const auto value = parse_duration(text); !value)
        return std::unexpected(value.error());
      else
        return std::chrono::nanoseconds(*value).count();
    case Kind::kByteSize:
      if (const auto value = parse_byte_size(text); !value)
        return std::unexpected(value.error());
      else if (value->bytes > type.highest)
        return std::unexpected("must be at most " + to_string(ByteSize{type.highest}));
      else
        return value->bytes;
    case Kind::kListenAddress:
      if (const auto value = parse_listen_address(text); !value) return std::unexpected(value.error());
      return text;
    default:
      return text;
  }
}

/// "; write e.g. 50", or "; did you mean `x`?" for an enum's value that is nearly right.
std::string advice(const Type& type, const FieldOptions& options, const std::string& text) {
  if (type.kind == Kind::kEnum) {
    const auto near = nearest(text, type.names);
    return near ? fmt::format("; did you mean `{}`?", *near) : std::string();
  }
  return options.example.empty() ? std::string() : "; write e.g. " + options.example;
}

bool reads_as_number(const std::string& text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return !text.empty() && text.size() < 40 && error == std::errc() && end == text.data() + text.size();
}

}  // namespace

Parsed<Scalar> parse_scalar(const Type& type, const FieldOptions& options, const Node& node) {
  const std::string& text = node.text;
  std::string wrong;
  auto value = parse_kind(type, options, text);
  if (!value) {
    wrong = value.error();
  } else {
    const double size = measure(type, *value);
    if ((!options.min || size >= *options.min) && (!options.max || size <= *options.max)) return value;
    if (type.kind != Kind::kString) {
      wrong = "must be " + name_bounds(type, options);
    } else {
      wrong = text.empty() ? "must not be empty" : "must have a length " + name_bounds(type, options);
    }
  }
  if (!options.secret && !(type.kind == Kind::kString && text.empty())) {
    const std::string shown = options.address ? without_secrets(node.shown()) : node.shown();
    wrong += ", got " + (reads_as_number(shown) ? text : quoted(shown));
  }
  return std::unexpected(wrong + advice(type, options, text));
}

std::string print_scalar(const Type& type, const Scalar& value) {
  switch (type.kind) {
    case Kind::kBool:
      return std::get<bool>(value) ? "true" : "false";
    case Kind::kInteger:
      return std::to_string(std::get<std::int64_t>(value));
    case Kind::kNumber:
      return fmt::format("{}", std::get<double>(value));
    case Kind::kEnum:
      return type.names.at(static_cast<std::size_t>(std::get<std::int64_t>(value)));
    case Kind::kDuration:
      return to_string(Duration(std::chrono::nanoseconds(std::get<std::int64_t>(value))));
    case Kind::kByteSize:
      return to_string(ByteSize{std::get<std::int64_t>(value)});
    default:
      return std::get<std::string>(value);
  }
}

std::string name_bounds(const Type& type, const FieldOptions& options) {
  std::optional<std::string> low;
  std::optional<std::string> high;
  if (options.min) low = print_bound(type, *options.min);
  if (options.max) high = print_bound(type, *options.max);
  if (type.kind == Kind::kInteger) {
    if (!low) low = std::to_string(type.lowest);
    if (!high) high = std::to_string(type.highest);
  }
  if (low && high) return fmt::format("between {} and {}", *low, *high);
  if (low) return "at least " + *low;
  if (high) return "at most " + *high;
  return {};
}

std::string name_type(const Type& type, const FieldOptions& options) {
  const auto bounded = [&](const std::string& name) {
    const bool any = options.min || options.max;
    return any ? name + (type.kind == Kind::kString ? " of length " : " ") + name_bounds(type, options)
               : name;
  };
  switch (type.kind) {
    case Kind::kBool:
      return "true or false";
    case Kind::kInteger:
      return bounded("an integer");
    case Kind::kNumber:
      return bounded("a number");
    case Kind::kString:
      return options.min == 1 && !options.max ? "a text" : bounded("a text");
    case Kind::kEnum:
      return fmt::format("one of {}", fmt::join(type.names, ", "));
    case Kind::kDuration:
      return bounded("a duration");
    case Kind::kByteSize:
      return bounded("a size");
    case Kind::kListenAddress:
      return "host:port";
    case Kind::kOptional:
      return name_type(*type.element, options);
    case Kind::kList:
      return fmt::format("{}{}a list of {}", fmt::join(type.names, ", "), type.names.empty() ? "" : ", or ",
                         name_type(*type.element, options));
    case Kind::kMap:
      return "a mapping of names to " + name_type(*type.element, options);
    case Kind::kSection:
      return "a section";
  }
  return {};
}

}  // namespace autoglm::config
