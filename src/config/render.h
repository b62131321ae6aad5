#pragma once

#include "config/descriptor.h"
#include "config/node.h"

#include <cstdint>
#include <string>

/// What else is generated from a description.
namespace autoglm::config {

/// JSON Schema, draft 2020-12, indented, ended by a newline. A key that may hold a number may also hold a
/// `${env:NAME}`.
std::string json_schema(const Section& root, const std::string& title);

/// docs/reference/config.md: every key with its type, default and environment variable, in Markdown.
std::string markdown_reference(const Section& root);

/// Whether a printed configuration has the values of secret keys, and the part of an address before its host
/// and in its query. The descriptors say which keys these are.
enum class Secrets : std::uint8_t {
  kHidden,  ///< for people
  kTold,    ///< for another process of ours
};

/// A configuration as YAML that reads back to itself, except for hidden secrets. With `tree`, from which the
/// configuration was read, each value that is not the default has a comment that names its source.
std::string print(const Section& root, const void* value, const Node* tree = nullptr,
                  Secrets secrets = Secrets::kHidden);

template <class T>
std::string print(const Descriptor<T>& descriptor, const T& value, const Node* tree = nullptr,
                  Secrets secrets = Secrets::kHidden) {
  return print(*descriptor.description(), &value, tree, secrets);
}

}  // namespace autoglm::config
