#pragma once

#include "config/diagnostic.h"
#include "config/node.h"
#include "config/type.h"

namespace autoglm::config {

/// Reads `tree` into `target`, the struct that `root` describes; adds everything that is wrong to
/// `problems`, and what will surprise to `warnings`. Keys that are not in the tree keep what `target` has.
void read(const Section& root, const Node& tree, void* target, Diagnostics& problems, Diagnostics& warnings);

}  // namespace autoglm::config
