#include "config/node.h"

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

bool set(Node& root, std::string_view path, Node scalar) {
  Node* node = &root;
  if (path.empty()) return false;
  while (!path.empty()) {
    const auto step = take_step(path);
    if (!step) return false;
    node = child(*node, *step, scalar.location);
    if (node == nullptr) return true;
  }
  const bool free = node->kind == Node::Kind::kNull;
  if (free || (node->kind == Node::Kind::kScalar && node->location.origin <= scalar.location.origin)) {
    *node = std::move(scalar);
  }
  return true;
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
