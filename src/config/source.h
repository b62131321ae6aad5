#pragma once

#include "base/clock.h"
#include "config/node.h"
#include "config/type.h"

#include <memory>
#include <string>
#include <vector>

namespace autoglm::config {

/// One place where configuration comes from: a file, the environment, the command line, a configuration
/// center. Every value that it says carries its origin. Not thread-safe: belongs to the main thread.
class Source {
 public:
  virtual ~Source() = default;

  /// For people: "open-autoglm.yaml", "the environment".
  virtual std::string name() const = 0;

  /// Lays what it says over `tree`, which holds what the weaker sources say; `root` describes the keys. Asks
  /// nobody: a source that others write to says what it has seen last. Adds mistakes to `problems`. False: it
  /// cannot be understood at all; keys missing from the tree then say nothing.
  virtual bool read(const Section& root, Node& tree, Diagnostics& problems) const = 0;

  /// Whether it has something new, and all of it, since the last call; `read` says it from now on. Called
  /// about once a second while a process runs.
  virtual bool changed(MonotonicTime /*now*/) { return false; }
};

/// The sources of a configuration, the weakest first: of two that give a value the later one wins.
using Sources = std::vector<std::shared_ptr<Source>>;

/// All sources in one tree. Adds mistakes to `problems`. False when one of them cannot be understood.
bool merge(const Section& root, const Sources& sources, Node& tree, Diagnostics& problems);

}  // namespace autoglm::config
