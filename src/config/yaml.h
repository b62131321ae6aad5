#pragma once

#include "config/node.h"

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace autoglm::config {

/// What a file may cost before it is refused. A Kubernetes ConfigMap cannot exceed 1 MiB either.
struct YamlLimits {
  std::size_t bytes = 1 << 20;
  std::size_t depth = 32;
  std::size_t nodes = 100'000;  ///< aliases count as often as they are used
};

/// Reads one YAML document; `name` is the file's name for locations. An empty text is an empty mapping. Adds
/// mistakes to `problems`: every duplicate key (the first one counts), and the first syntax error, after
/// which nothing can be trusted and no tree is returned.
std::optional<Node> parse_yaml(const std::string& name, const std::string& text, Diagnostics& problems,
                               const YamlLimits& limits = {});

/// Why `text`, which reads as `tree`, is not a whole configuration: it is empty, or it ends after a key or a
/// dash whose value is missing. A file that is still being written, or that was cut short, looks like this.
std::optional<Diagnostic> find_cut(const std::string& name, std::string_view text, const Node& tree);

}  // namespace autoglm::config
