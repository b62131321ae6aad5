#include "cluster/registries/file/target_file.h"

#include "cluster/registries/host_port.h"
#include "config/yaml.h"

#include <fmt/format.h>

#include <charconv>
#include <cstdint>
#include <utility>

namespace autoglm::cluster {

namespace {

using config::Node;

std::unexpected<Error> mistake(const config::Location& at, std::string what) {
  const config::Diagnostic diagnostic{.location = at, .path = {}, .message = std::move(what)};
  return fail(ErrorCode::kInvalidArgument, diagnostic.to_string());
}

Result<Instance> read_target(const Node& target, const Instance& group) {
  if (target.kind != Node::Kind::kScalar) return mistake(target.location, "a target must be \"host:port\"");
  auto address = read_host_port(target.text);
  if (!address) return mistake(target.location, fmt::format("\"{}\" is no \"host:port\"", target.shown()));
  Instance instance = group;
  instance.host = std::move(address->host);
  instance.port = address->port;
  return instance;
}

Result<void> read_labels(const Node& labels, Instance& group) {
  if (labels.kind == Node::Kind::kNull) return {};
  if (labels.kind != Node::Kind::kMapping) return mistake(labels.location, "`labels` must be a mapping");
  for (const auto& [key, location, value] : labels.members) {
    if (value.kind == Node::Kind::kSequence || value.kind == Node::Kind::kMapping)
      return mistake(location, fmt::format("the label `{}` must be a text", key));
    group.metadata[key] = value.text;
    if (key != "__weight__") continue;
    const auto [end, error] =
        std::from_chars(value.text.data(), value.text.data() + value.text.size(), group.weight);
    if (error != std::errc() || end != value.text.data() + value.text.size() || group.weight == 0)
      return mistake(location, "the label `__weight__` must be a number from 1 on");
  }
  return {};
}

Result<void> read_group(const Node& node, std::vector<Instance>& all) {
  if (node.kind != Node::Kind::kMapping)
    return mistake(node.location, "a group must have `targets`, and may have `labels`");
  Instance group;
  const auto* labels = node.member("labels");
  if (labels != nullptr) {
    if (auto read = read_labels(labels->value, group); !read) return read;
  }
  const auto* targets = node.member("targets");
  if (targets == nullptr || targets->value.kind != Node::Kind::kSequence)
    return mistake(node.location, "a group must have `targets`, a list");
  for (const Node& target : targets->value.items) {
    auto instance = read_target(target, group);
    if (!instance) return fail(std::move(instance).error());
    all.push_back(std::move(*instance));
  }
  return {};
}

}  // namespace

Result<std::vector<Instance>> read_target_file(const std::string& name, const std::string& text) {
  config::Diagnostics problems;
  const auto tree = config::parse_yaml(name, text, problems, {.bytes = 16U << 20U, .nodes = 1'000'000});
  if (!problems.empty()) return fail(ErrorCode::kInvalidArgument, problems.front().to_string());
  if (!tree || tree->kind != Node::Kind::kSequence) {
    // A file that is being written is empty for a moment.
    return fail(ErrorCode::kInvalidArgument,
                name + ": must be a list of groups with `targets`; an empty one is []");
  }
  if (const auto cut = config::find_cut(name, text, *tree); cut && !tree->items.empty())
    return fail(ErrorCode::kInvalidArgument, cut->to_string());
  std::vector<Instance> all;
  for (const Node& group : tree->items) {
    if (auto read = read_group(group, all); !read) return fail(std::move(read).error());
  }
  return all;
}

}  // namespace autoglm::cluster
