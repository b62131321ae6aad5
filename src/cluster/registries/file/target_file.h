#pragma once

#include "base/result.h"
#include "cluster/registries/registry.h"

#include <string>
#include <vector>

namespace autoglm::cluster {

/// Reads what Prometheus' file_sd has, as JSON or YAML: a list of groups, each with `targets` ("host:port")
/// and `labels`, which become metadata. An optional label `__weight__` is the weight. Errors:
/// kInvalidArgument with the file, the line and what is wrong; an empty text is wrong, `[]` is not.
Result<std::vector<Instance>> read_target_file(const std::string& name, const std::string& text);

}  // namespace autoglm::cluster
