#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

/// What a Descriptor records about C++ types, as plain data: the reader, the JSON Schema, the
/// reference and the printer all walk over it, so that one description serves them all and templates
/// end at the accessors. `void*` is always the C++ object that the Type or Section was made for.
namespace autoglm::config {

/// The shapes that a value can have.
enum class Kind : std::uint8_t {
  kBool,
  kInteger,
  kNumber,
  kString,
  kEnum,
  kDuration,
  kByteSize,
  kListenAddress,
  kOptional,  ///< an element, or none
  kList,      ///< elements
  kMap,       ///< names to elements
  kSection,   ///< fields
};

/// A scalar on its way in or out. Durations are nanoseconds, sizes bytes, enums an index into `names`,
/// listen addresses their text.
using Scalar = std::variant<bool, std::int64_t, double, std::string>;

struct Node;
struct Section;

struct Type {
  Kind kind = Kind::kString;

  // Scalars.
  std::function<void(void*, const Scalar&)> store;
  std::function<Scalar(const void*)> fetch;
  std::int64_t lowest = INT64_MIN;  ///< what the C++ integer holds
  std::int64_t highest = INT64_MAX;
  std::vector<std::string> names;  ///< an enum's names; of a list, words for its being empty

  // kOptional, kList, kMap.
  using Visit = std::function<void(const std::string& key, const void* element)>;
  std::shared_ptr<const Type> element;
  std::function<void(void*)> clear;
  std::function<void*(void*, const std::string& key)> add;
  std::function<void(const void*, const Visit&)> visit;

  std::function<void(void* to, const void* from)> assign;

  // kSection.
  std::shared_ptr<const Section> section;
};

/// What a description says about one key beyond its type.
struct FieldOptions {
  std::string doc;      ///< one or two sentences for the reference
  std::string example;  ///< what to write instead of a mistake; default: the default value
  /// Bounds, inclusive: a number's value, a duration in seconds, a size in bytes, a string's length; for a
  /// list or a map, the bounds of its elements.
  std::optional<double> min;
  std::optional<double> max;
  /// Whether a change takes effect without a restart. Unset: inherited from the enclosing section. For an
  /// optional section, a list or a map this covers which elements exist; keys within may say otherwise.
  std::optional<bool> live = std::nullopt;
  std::string identity;   ///< for a list of sections: the key that tells its elements apart, in any order
  bool secret = false;    ///< never printed, not even in errors
  bool address = false;   ///< printed without the part before its host and without its query, like an URL
  bool required = false;  ///< has no sensible default
};

struct Field {
  std::string name;
  FieldOptions options;
  Type type;
  std::function<void*(void*)> locate;  ///< the member, within the section's struct

  const void* locate_in(const void* section) const { return locate(const_cast<void*>(section)); }
};

/// A broken rule between fields, or a surprising setting: its key (a path relative to the section), and why.
struct Violation {
  std::string path;
  std::string message;
};

struct Section {
  std::string name;  ///< for titles
  std::string doc;
  std::vector<Field> fields;
  std::vector<std::function<std::vector<Violation>(const void*)>> checks;
  std::vector<std::function<std::vector<Violation>(const void*, const Node&)>> warnings;
  std::optional<bool> live;              ///< for fields that do not say
  std::shared_ptr<const void> defaults;  ///< a struct as its initializers leave it

  const Field* field(const std::string& key) const;
  /// Whether the field `of` may change without a restart; `within`: whether the enclosing section may.
  bool is_live(const Field& of, bool within) const { return of.options.live.value_or(live.value_or(within)); }
};

/// What is said where not exactly one of several keys is there.
struct OneOfTexts {
  std::string none;     ///< the keys' names follow: "names no registry; add"
  std::string several;  ///< "names several registries; write an item of the list for each"
};
/// A check that exactly one of these optional fields of `section` has a value.
std::function<std::vector<Violation>(const void*)> one_of_check(const Section& section,
                                                                const std::vector<std::string>& names,
                                                                OneOfTexts texts);
/// "`a`, `b` or `c`".
std::string enumerated(const std::vector<std::string>& names);

/// True for kinds that a single text can give, also through an optional.
bool is_scalar(const Type& type);

/// The section inside optionals, lists and maps, or null.
const Section* section_of(const Type& type);

}  // namespace autoglm::config
