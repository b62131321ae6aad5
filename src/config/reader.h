#pragma once

#include "config/diagnostic.h"
#include "config/node.h"
#include "config/type.h"

namespace autoglm::config {

/// Reads `tree` into `target`, the struct that `root` describes. Adds mistakes to `problems`, and valid but
/// surprising settings to `warnings`. Keys that are not in the tree leave `target` unchanged.
void read(const Section& root, const Node& tree, void* target, Diagnostics& problems, Diagnostics& warnings);

}  // namespace autoglm::config
