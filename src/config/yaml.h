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

/// Reads one YAML document; `name` is the file's name for locations. An empty text is an empty mapping.
/// Adds what is wrong to `problems`: every duplicate key (the first one counts), and the first syntax
/// error, after which nothing can be trusted and there is no tree.
std::optional<Node> parse_yaml(const std::string& name, const std::string& text, Diagnostics& problems,
                               const YamlLimits& limits = {});

/// Why `text`, which reads as `tree`, is not the whole of a configuration: there is nothing in it, or it ends
/// behind a key or a dash whose value is missing. So looks a file that is being written, or that was not
/// written to its end.
std::optional<Diagnostic> find_cut(const std::string& name, std::string_view text, const Node& tree);

}  // namespace autoglm::config
