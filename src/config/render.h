#pragma once

#include "config/descriptor.h"
#include "config/node.h"

#include <string>

/// What else is generated from a description.
namespace autoglm::config {

/// JSON Schema, draft 2020-12, indented, ended by a newline. A key that may hold a number may also hold a
/// `${env:NAME}`.
std::string json_schema(const Section& root, const std::string& title);

/// docs/reference/config.md: every key with its type, default and environment variable, in Markdown.
std::string markdown_reference(const Section& root);

/// A configuration as YAML that reads back to itself except for its secrets, which are hidden: values of
/// secret keys, and the part of an address before its host and in its query. With `tree`, from which the
/// configuration was read, each value that is not the default has a comment that names its source.
std::string print(const Section& root, const void* value, const Node* tree = nullptr);

template <class T>
std::string print(const Descriptor<T>& descriptor, const T& value, const Node* tree = nullptr) {
  return print(*descriptor.description(), &value, tree);
}

}  // namespace autoglm::config
