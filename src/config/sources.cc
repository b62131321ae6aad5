#include "config/sources.h"

#include "base/assert.h"
#include "base/suggest.h"
#include "config/yaml.h"

#include <algorithm>
#include <utility>

namespace autoglm::config {

namespace {

constexpr std::string_view kPrefix = "OPEN_AUTOGLM_";

/// Maps variable names to paths, for every scalar that is reached without an index or a name.
void collect_variables(const Section& section, const std::string& parent,
                       std::map<std::string, std::string>& out) {
  for (const Field& field : section.fields) {
    const std::string path = join_path(parent, field.name);
    if (is_scalar(field.type)) {
      const bool fresh = out.emplace(environment_name(path), path).second;
      AUTOGLM_ASSERT(fresh, "two keys would have the same environment variable");
    } else if (field.type.kind == Kind::kSection) {
      collect_variables(*field.type.section, path, out);
    }
  }
}

/// Takes digits off the front; false if there are none.
bool take_digits(std::string_view& text) {
  const std::size_t length = std::min(text.find_first_not_of("0123456789"), text.size());
  text.remove_prefix(length);
  return length > 0;
}

/// Kubernetes puts variables into every pod for each service of its namespace: a service called
/// open-autoglm makes OPEN_AUTOGLM_SERVICE_HOST, OPEN_AUTOGLM_PORT, OPEN_AUTOGLM_PORT_8080_TCP_ADDR, …
bool is_service_link(std::string_view name) {
  if (name.ends_with("_SERVICE_HOST") || name.find("_SERVICE_PORT") != std::string_view::npos) return true;
  if (name.ends_with("_PORT")) return true;
  const std::size_t port = name.find("_PORT_");
  if (port == std::string_view::npos) return false;
  std::string_view rest = name.substr(port + 6);
  return take_digits(rest) &&
         (rest.starts_with("_TCP") || rest.starts_with("_UDP") || rest.starts_with("_SCTP"));
}

}  // namespace

std::string environment_name(const std::string& path) {
  std::string name(kPrefix);
  for (const char c : path) {
    const bool lower = c >= 'a' && c <= 'z';
    const bool other = (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    name += lower ? static_cast<char>(c - 32) : other ? c : '_';
  }
  return name;
}

bool YamlSource::read(const Section& /*root*/, Node& tree, Diagnostics& problems) const {
  auto document = parse_yaml(name_, text_, problems);
  if (!document) return false;
  expand_environment(*document, environment_, problems);
  lay(tree, std::move(*document));
  return true;
}

bool EnvironmentSource::read(const Section& root, Node& tree, Diagnostics& problems) const {
  std::map<std::string, std::string> paths;
  collect_variables(root, "", paths);
  const auto put = [&](const std::string& path, const std::string& variable, const std::string& text) {
    const Location location{ValueOrigin::kEnvironment, "environment variable " + variable, 0, 0};
    set(tree, path, {.kind = Node::Kind::kScalar, .text = text, .location = location});
  };
  for (auto it = environment_.lower_bound(std::string(kPrefix)); it != environment_.end(); ++it) {
    const auto& [name, text] = *it;
    if (!name.starts_with(kPrefix)) break;
    if (const auto path = paths.find(name); path != paths.end()) {
      put(path->second, name, text);
    } else if (!is_service_link(name)) {
      std::vector<std::string> names;
      for (const auto& [known, unused] : paths) names.push_back(known);
      const auto near = nearest(name, names);
      problems.push_back({{ValueOrigin::kEnvironment, "environment variable " + name, 0, 0},
                          "",
                          near ? "names no key; did you mean " + *near + "?"
                               : "names no key; docs/reference/config.md lists them"});
    }
  }
  for (const Alias& alias : aliases_) {
    const auto found = environment_.find(alias.variable);
    if (found != environment_.end() && !found->second.empty()) put(alias.path, alias.variable, found->second);
  }
  return true;
}

Sources TextSources::list() const {
  Sources sources;
  if (!file_name.empty()) sources.push_back(std::make_shared<YamlSource>(file_name, file_text, environment));
  sources.push_back(std::make_shared<EnvironmentSource>(environment));
  return sources;
}

bool merge(const Section& root, const Sources& sources, Node& tree, Diagnostics& problems) {
  tree = {.kind = Node::Kind::kMapping};
  bool readable = true;
  for (const auto& source : sources) readable &= source->read(root, tree, problems);
  return readable;
}

}  // namespace autoglm::config
