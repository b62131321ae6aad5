#pragma once

#include "config/descriptor.h"
#include "config/node.h"

#include <string>

/// What else is made from a description.
namespace autoglm::config {

/// JSON Schema, draft 2020-12, indented, ended by a newline. A key that may hold a number may also hold
/// a `${env:NAME}`.
std::string json_schema(const Section& root, const std::string& title);

/// docs/reference/config.md: every key with its type, default and environment variable, in Markdown.
std::string markdown_reference(const Section& root);

/// A configuration as YAML that reads back to itself but for its secrets, which are hidden: values of secret
/// keys, and what an address carries before its host and in its query. With the
/// tree that it was read from, each value that is no default says in a comment where it comes from.
std::string print(const Section& root, const void* value, const Node* tree = nullptr);

template <class T>
std::string print(const Descriptor<T>& descriptor, const T& value, const Node* tree = nullptr) {
  return print(*descriptor.description(), &value, tree);
}

}  // namespace autoglm::config
