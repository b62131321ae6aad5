#pragma once

#include "config/diagnostic.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace autoglm::config {

/// A configuration before it has types: a tree in which every value knows where it was written.
/// A value; plain data. Keys of one mapping are distinct.
struct Node {
  enum class Kind : std::uint8_t { kNull, kScalar, kSequence, kMapping };
  struct Member;

  Kind kind = Kind::kNull;
  std::string text;             ///< of a scalar, without quotes, `${env:}` expanded
  std::string written;          ///< the text before that expansion; empty: the same
  std::vector<Node> items;      ///< of a sequence
  std::vector<Member> members;  ///< of a mapping, in the order of the file
  Location location;

  const Member* member(std::string_view key) const;
  /// The text to show to people: an expanded variable may hold a secret.
  const std::string& shown() const { return written.empty() ? text : written; }
};

struct Node::Member {
  std::string key;
  Location location;  ///< of the key; the value has its own
  Node value;
};

/// The node at `path` (`models[0].breaker.window`), or null.
const Node* find(const Node& root, std::string_view path);

/// Puts `scalar` at `path`, which is well-formed, making the mappings and list items on the way (an index may
/// be one past the end). Does nothing where the path leads through, or to, a value of another shape, which is
/// reported when the tree is read.
void set(Node& root, std::string_view path, Node scalar);

/// Lays `over` over `below`: the members of two mappings one by one, anything else whole. An empty value says
/// nothing.
void lay(Node& below, Node over);

std::string_view to_string(Node::Kind kind);

}  // namespace autoglm::config
