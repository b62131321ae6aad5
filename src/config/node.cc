#include "config/node.h"

#include "base/assert.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

namespace autoglm::config {

namespace {

/// One step of a path: a key, or an index.
struct Step {
  std::string_view key;
  std::optional<std::size_t> index;
};

/// Takes the first step off `path`; nothing when it is malformed.
std::optional<Step> take_step(std::string_view& path) {
  if (path.starts_with('[')) {
    std::size_t index = 0;
    const auto [end, error] = std::from_chars(path.data() + 1, path.data() + path.size(), index);
    if (error != std::errc() || end == path.data() + path.size() || *end != ']') return std::nullopt;
    path.remove_prefix(static_cast<std::size_t>(end - path.data()) + 1);
    if (path.starts_with('.')) path.remove_prefix(1);
    return Step{.key = {}, .index = index};
  }
  const std::string_view key = path.substr(0, path.find_first_of(".["));
  if (key.empty()) return std::nullopt;
  path.remove_prefix(key.size());
  if (path.starts_with('.')) path.remove_prefix(1);
  return Step{.key = key, .index = std::nullopt};
}

/// The child of `node` that `step` names, made if it is missing; null when `node` has another shape.
Node* child(Node& node, const Step& step, const Location& location) {
  const auto wanted = step.index ? Node::Kind::kSequence : Node::Kind::kMapping;
  if (node.kind == Node::Kind::kNull) {
    node.kind = wanted;
    node.location = location;
  }
  if (node.kind != wanted) return nullptr;
  if (step.index) {
    if (*step.index > node.items.size()) return nullptr;
    if (*step.index == node.items.size()) node.items.push_back({.location = location});
    return &node.items[*step.index];
  }
  for (Node::Member& member : node.members) {
    if (member.key == step.key) return &member.value;
  }
  node.members.push_back({std::string(step.key), location, Node{.location = location}});
  return &node.members.back().value;
}

}  // namespace

const Node::Member* Node::member(std::string_view key) const {
  for (const Member& candidate : members) {
    if (candidate.key == key) return &candidate;
  }
  return nullptr;
}

const Node* find(const Node& root, std::string_view path) {
  const Node* node = &root;
  while (!path.empty()) {
    const auto step = take_step(path);
    if (!step) return nullptr;
    if (step->index) {
      if (node->kind != Node::Kind::kSequence || *step->index >= node->items.size()) return nullptr;
      node = &node->items[*step->index];
    } else {
      const Node::Member* member = node->member(step->key);
      if (member == nullptr) return nullptr;
      node = &member->value;
    }
  }
  return node;
}

void set(Node& root, std::string_view path, Node scalar) {
  Node* node = &root;
  while (!path.empty()) {
    const auto step = take_step(path);
    AUTOGLM_ASSERT(step, "a path is malformed");
    node = child(*node, *step, scalar.location);
    if (node == nullptr) return;
  }
  if (node->kind == Node::Kind::kNull || node->kind == Node::Kind::kScalar) *node = std::move(scalar);
}

void lay(Node& below, Node over) {
  const bool both = below.kind == Node::Kind::kMapping && over.kind == Node::Kind::kMapping;
  if (over.kind == Node::Kind::kNull && below.kind != Node::Kind::kNull) return;
  if (!both || below.members.empty()) {
    below = std::move(over);
    return;
  }
  for (Node::Member& member : over.members) {
    const auto same = std::ranges::find(below.members, member.key, &Node::Member::key);
    if (same != below.members.end()) {
      lay(same->value, std::move(member.value));
    } else {
      below.members.push_back(std::move(member));
    }
  }
}

std::string_view to_string(Node::Kind kind) {
  switch (kind) {
    case Node::Kind::kNull:
      return "nothing";
    case Node::Kind::kScalar:
      return "a single value";
    case Node::Kind::kSequence:
      return "a list";
    case Node::Kind::kMapping:
      return "a mapping";
  }
  return "nothing";
}

}  // namespace autoglm::config
