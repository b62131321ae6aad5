#pragma once

#include "base/assert.h"
#include "config/make_type.h"
#include "config/node.h"
#include "config/type.h"

#include <concepts>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace autoglm::config {

/// Describes the plain struct `T`, once, for everything that is made from a description: reading with
/// located errors, JSON Schema, the reference, printing. Defaults are `T`'s member initializers.
///
///     Descriptor<RetryConfig>("retry", "When a request is tried again.")
///         .field("max_attempts", &RetryConfig::max_attempts, {.doc = "…", .min = 1, .max = 10})
///         .check([](const RetryConfig& c) { … return std::vector<Violation>{}; });
///
/// A value type; once built, its shared innards are immutable and copies are cheap.
template <class T>
class Descriptor {
 public:
  Descriptor(std::string name, std::string doc) {
    section_->name = std::move(name);
    section_->doc = std::move(doc);
    section_->defaults = std::make_shared<const T>();
  }

  /// A scalar (bool, integers, floating point, std::string, enum, Duration, ByteSize, ListenAddress and types
  /// shaped like it), or an optional, a vector or a map from std::string of a scalar.
  template <class M>
  Descriptor& field(std::string name, M T::* member, FieldOptions options) {
    return add(std::move(name), member, make_type<M>(nullptr), std::move(options));
  }

  /// A number of bytes in a plain integer, for structs of rooms that do not know ByteSize.
  template <std::integral M>
  Descriptor& bytes(std::string name, M T::* member, FieldOptions options) {
    return add(std::move(name), member, detail::byte_type<M>(), std::move(options));
  }

  /// A nested struct `S`, or an optional, a vector or a map from std::string of it.
  template <class M, class S>
  Descriptor& section(std::string name, M T::* member, const Descriptor<S>& nested,
                      FieldOptions options = {}) {
    if (options.doc.empty()) options.doc = nested.description()->doc;
    return add(std::move(name), member, make_type<M>(nested.description()), std::move(options));
  }

  /// The keys of a nested struct `S` as if they were described here, for structs that share one section.
  template <class S>
  Descriptor& include(S T::* member, const Descriptor<S>& nested) {
    const auto part = [member](void* value) -> void* { return &(static_cast<T*>(value)->*member); };
    for (const Field& field : nested.description()->fields) {
      AUTOGLM_ASSERT(section_->field(field.name) == nullptr, "a key is described twice");
      section_->fields.push_back(field);
      section_->fields.back().locate = [part, inner = field.locate](void* value) {
        return inner(part(value));
      };
    }
    for (const auto& rule : nested.description()->checks) {
      section_->checks.push_back(
          [part, rule](const void* value) { return rule(part(const_cast<void*>(value))); });
    }
    for (const auto& rule : nested.description()->warnings) {
      section_->warnings.push_back([part, rule](const void* value, const Node& written) {
        return rule(part(const_cast<void*>(value)), written);
      });
    }
    return *this;
  }

  /// A rule between fields. Called only on a struct whose fields are each valid.
  Descriptor& check(std::function<std::vector<Violation>(const T&)> rule) {
    section_->checks.push_back(
        [rule = std::move(rule)](const void* value) { return rule(*static_cast<const T*>(value)); });
    return *this;
  }

  /// Warns about a valid setting that will surprise: says what will happen, and what to do. `written` has the
  /// keys that the sources set. Called only on a struct that passes every check.
  Descriptor& warn(std::function<std::vector<Violation>(const T&, const Node& written)> rule) {
    section_->warnings.push_back([rule = std::move(rule)](const void* value, const Node& written) {
      return rule(*static_cast<const T*>(value), written);
    });
    return *this;
  }

  /// Exactly one of these optional keys must be there. Described before.
  Descriptor& one_of(const std::vector<std::string>& names, OneOfTexts texts) {
    section_->checks.push_back(one_of_check(*section_, names, std::move(texts)));
    section_->doc += " Name exactly one: " + enumerated(names) + ".";
    return *this;
  }

  /// Whether the section's keys can change without a restart. A key's own setting takes precedence.
  Descriptor& live(bool live) {
    section_->live = live;
    return *this;
  }

  std::shared_ptr<const Section> description() const { return section_; }

 private:
  template <class M>
  Descriptor& add(std::string name, M T::* member, Type type, FieldOptions options) {
    AUTOGLM_ASSERT(section_->field(name) == nullptr, "a key is described twice");
    Field& described = section_->fields.emplace_back();
    described.name = std::move(name);
    described.options = std::move(options);
    described.type = std::move(type);
    described.locate = [member](void* value) -> void* { return &(static_cast<T*>(value)->*member); };
    return *this;
  }

  std::shared_ptr<Section> section_ = std::make_shared<Section>();
};

}  // namespace autoglm::config
