#include "base/redact.h"
#include "config/render.h"
#include "config/scalar.h"

#include <yaml-cpp/emitter.h>

#include <string_view>

namespace autoglm::config {

namespace {

const Node* child(const Node* node, const std::string& key) {
  const Node::Member* member = node != nullptr ? node->member(key) : nullptr;
  return member != nullptr ? &member->value : nullptr;
}

/// A text that YAML would read as another type keeps its quotes.
void emit_text(YAML::Emitter& out, const Type& type, const std::string& text) {
  if (type.kind == Kind::kString) {
    out << YAML::DoubleQuoted << text;
  } else {
    out << text;
  }
}

class Printing {
 public:
  Printing(YAML::Emitter& out, Secrets secrets) : out_(out), secrets_(secrets) {}

  void section(const Section& section, const void* value, const Node* tree) {
    out_ << YAML::BeginMap;
    for (const Field& field : section.fields) {
      const void* member = field.locate_in(value);
      if (is_absent(field.type, member)) continue;
      out_ << YAML::Key << field.name << YAML::Value;
      this->value(field.type, field.options, member, child(tree, field.name));
    }
    out_ << YAML::EndMap;
  }

 private:
  static bool is_absent(const Type& type, const void* value) {
    return type.kind == Kind::kOptional && is_empty(type, value);
  }
  static bool is_empty(const Type& type, const void* value) {
    bool any = false;
    type.visit(value, [&](const std::string&, const void*) { any = true; });
    return !any;
  }

  void value(const Type& type, const FieldOptions& options, const void* value, const Node* tree) {
    switch (type.kind) {
      case Kind::kSection:
        return section(*type.section, value, tree);
      case Kind::kOptional:
        return type.visit(value, [&](const std::string&, const void* element) {
          this->value(*type.element, options, element, tree);
        });
      case Kind::kList:
        return list(type, options, value, tree);
      case Kind::kMap:
        out_ << YAML::BeginMap;
        type.visit(value, [&](const std::string& key, const void* element) {
          out_ << YAML::Key << key << YAML::Value;
          this->value(*type.element, options, element, child(tree, key));
        });
        out_ << YAML::EndMap;
        return;
      default:
        return scalar(type, options, value, tree);
    }
  }

  void list(const Type& type, const FieldOptions& options, const void* value, const Node* tree) {
    if (!type.names.empty() && is_empty(type, value)) {
      out_ << type.names.front();
      return;
    }
    out_ << YAML::BeginSeq;
    std::size_t index = 0;
    type.visit(value, [&](const std::string&, const void* element) {
      const bool known = tree != nullptr && index < tree->items.size();
      this->value(*type.element, options, element, known ? &tree->items[index] : nullptr);
      ++index;
    });
    out_ << YAML::EndSeq;
  }

  void scalar(const Type& type, const FieldOptions& options, const void* value, const Node* tree) {
    std::string text = print_scalar(type, type.fetch(value));
    if (secrets_ == Secrets::kHidden) {
      if (options.secret && !text.empty()) text = kHidden;
      if (options.address) text = without_secrets(text);
    }
    emit_text(out_, type, text);
    if (tree != nullptr && !tree->location.source.empty()) out_ << YAML::Comment(tree->location.to_string());
  }

  YAML::Emitter& out_;
  Secrets secrets_;
};

}  // namespace

std::string print(const Section& root, const void* value, const Node* tree, Secrets secrets) {
  YAML::Emitter out;
  Printing(out, secrets).section(root, value, tree);
  return std::string(out.c_str()) + '\n';
}

}  // namespace autoglm::config
