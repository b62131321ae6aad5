#include "config/reader.h"

#include "base/suggest.h"
#include "config/scalar.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <utility>

namespace autoglm::config {

namespace {

/// One pass over tree and description together.
class Reading {
 public:
  Reading(const Section& root, Diagnostics& problems, Diagnostics& warnings)
      : root_(root), problems_(problems), warnings_(warnings) {}

  void section(const Section& section, const Node& node, void* target, const std::string& path) {
    if (node.kind == Node::Kind::kScalar || node.kind == Node::Kind::kSequence) {
      return say(node.location, path,
                 fmt::format("must be a mapping of keys to values, got {}", describe(node)));
    }
    const std::size_t before = problems_.size();
    for (const Node::Member& member : node.members) {
      if (const Field* field = section.field(member.key)) {
        value(field->type, *field, member.value, field->locate(target), join_path(path, member.key));
      } else {
        say(member.location, join_path(path, member.key), unknown(section, member.key));
      }
    }
    for (const Field& field : section.fields) {
      const Node::Member* member = node.member(field.name);
      if (field.options.required && member == nullptr) {
        say(node.location, join_path(path, field.name), "is required" + example(field));
      }
    }
    if (problems_.size() == before) check(section, node, target, path);
  }

 private:
  void value(const Type& type, const Field& field, const Node& node, void* target, const std::string& path) {
    switch (type.kind) {
      case Kind::kSection:
        return section(*type.section, node, target, path);
      case Kind::kOptional:
        return optional(type, field, node, target, path);
      case Kind::kList:
        return list(type, field, node, target, path);
      case Kind::kMap:
        return map(type, field, node, target, path);
      default:
        return scalar(type, field, node, target, path);
    }
  }

  void scalar(const Type& type, const Field& field, const Node& node, void* target, const std::string& path) {
    if (node.kind == Node::Kind::kNull) {
      return say(node.location, path, "has no value; remove the key, or write " + wanted(type, field));
    }
    if (node.kind != Node::Kind::kScalar) {
      return say(node.location, path,
                 fmt::format("must be {}, got {}", wanted(type, field), to_string(node.kind)));
    }
    // For a key without an example, its default is the best one.
    FieldOptions options = field.options;
    if (options.example.empty() && !options.secret) options.example = print_scalar(type, type.fetch(target));
    if (auto parsed = parse_scalar(type, options, node)) {
      type.store(target, *parsed);
    } else {
      say(node.location, path, parsed.error());
    }
  }

  void optional(const Type& type, const Field& field, const Node& node, void* target,
                const std::string& path) {
    type.clear(target);
    if (node.kind != Node::Kind::kNull) value(*type.element, field, node, type.add(target, {}), path);
  }

  void list(const Type& type, const Field& field, const Node& node, void* target, const std::string& path) {
    type.clear(target);
    if (node.kind == Node::Kind::kNull) return;
    if (node.kind == Node::Kind::kScalar && std::ranges::find(type.names, node.text) != type.names.end())
      return;
    if (node.kind != Node::Kind::kSequence) {
      return say(node.location, path,
                 fmt::format("must be a list, got {}; write each element after a dash", describe(node)));
    }
    for (std::size_t i = 0; i < node.items.size(); ++i) {
      value(*type.element, field, node.items[i], type.add(target, {}), path + '[' + std::to_string(i) + ']');
    }
  }

  void map(const Type& type, const Field& field, const Node& node, void* target, const std::string& path) {
    type.clear(target);
    if (node.kind == Node::Kind::kNull) return;
    if (node.kind != Node::Kind::kMapping) {
      return say(node.location, path,
                 fmt::format("must be a mapping of names to values, got {}", describe(node)));
    }
    for (const Node::Member& member : node.members) {
      value(*type.element, field, member.value, type.add(target, member.key), join_path(path, member.key));
    }
  }

  /// Warnings are for valid sections only: their rules rely on the checks.
  void check(const Section& section, const Node& node, const void* target, const std::string& path) {
    const std::size_t before = problems_.size();
    for (const auto& rule : section.checks) {
      for (Violation& violation : rule(target))
        problems_.push_back(located(std::move(violation), node, path));
    }
    if (problems_.size() != before) return;
    for (const auto& rule : section.warnings) {
      for (Violation& violation : rule(target, node)) {
        warnings_.push_back(located(std::move(violation), node, path));
        warnings_.back().is_warning = true;
      }
    }
  }

  static Diagnostic located(Violation violation, const Node& node, const std::string& path) {
    const Node* at = find(node, violation.path);
    const bool indexed = violation.path.starts_with('[');
    std::string full = path.empty() || indexed || violation.path.empty() ? path + violation.path
                                                                         : path + '.' + violation.path;
    std::string message = std::move(violation.message);
    hide_expanded(node, message);
    return {at != nullptr ? at->location : node.location, std::move(full), std::move(message)};
  }

  /// Rules see values and quote them; a value from the environment is shown as written, `${env:NAME}`.
  static void hide_expanded(const Node& node, std::string& message) {
    constexpr std::size_t kNoSecret = 6;  // a shorter text is part of many a message by chance
    if (!node.written.empty() && node.text.size() >= kNoSecret) {
      for (std::size_t at = 0; (at = message.find(node.text, at)) != std::string::npos;
           at += node.written.size())
        message.replace(at, node.text.size(), node.written);
    }
    for (const Node& item : node.items) hide_expanded(item, message);
    for (const Node::Member& member : node.members) hide_expanded(member.value, message);
  }

  /// Why a key is wrong here: misspelt, belongs in another section, or unknown everywhere.
  std::string unknown(const Section& section, const std::string& key) const {
    std::vector<std::string> names;
    for (const Field& field : section.fields) names.push_back(field.name);
    if (const auto near = nearest(key, names)) return fmt::format("unknown key; did you mean `{}`?", *near);
    std::vector<std::string> homes;
    find_homes(root_, key, "", homes);
    if (!homes.empty()) return fmt::format("unknown key here; it belongs in {}", fmt::join(homes, " or "));
    return fmt::format("unknown key; known here: {}", fmt::join(names, ", "));
  }

  static void find_homes(const Section& section, const std::string& key, const std::string& path,
                         std::vector<std::string>& homes) {
    for (const Field& field : section.fields) {
      std::string inside = join_path(path, field.name);
      if (field.name == key) homes.push_back(path.empty() ? "the top level" : '`' + path + '`');
      if (field.type.kind == Kind::kList) inside += "[]";
      if (const Section* nested = section_of(field.type)) find_homes(*nested, key, inside, homes);
    }
  }

  static std::string describe(const Node& node) {
    return node.kind == Node::Kind::kScalar ? quoted(node.shown()) : std::string(to_string(node.kind));
  }
  static std::string wanted(const Type& type, const Field& field) {
    return name_type(type, field.options) + example(field);
  }
  static std::string example(const Field& field) {
    return field.options.example.empty() ? "" : ", e.g. " + field.options.example;
  }

  void say(const Location& location, const std::string& path, std::string message) {
    problems_.push_back({location, path, std::move(message)});
  }

  const Section& root_;
  Diagnostics& problems_;
  Diagnostics& warnings_;
};

}  // namespace

void read(const Section& root, const Node& tree, void* target, Diagnostics& problems, Diagnostics& warnings) {
  Reading(root, problems, warnings).section(root, tree, target, "");
}

}  // namespace autoglm::config
