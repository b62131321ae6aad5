#pragma once

#include "config/descriptor.h"

#include <string>
#include <vector>

/// Moves a running process from one configuration to the next. The descriptors say which keys may change.
namespace autoglm::config {

/// A key whose value differs between two configurations.
struct Difference {
  std::string path;  ///< elements that have an identity are named by it: `models[small].engine.threads`
  bool live;         ///< may change without a restart
  auto operator<=>(const Difference&) const = default;
};

/// All differences, by path. An optional's value or an element that only one side has counts as one.
std::vector<Difference> differences(const Section& root, const void* before, const void* after);

/// Sets every key of `after` that only a restart can change back to its value in `running`, so that `after`
/// becomes the configuration with which the running process continues.
void keep_until_restart(const Section& root, const void* running, void* after);

template <class T>
std::vector<Difference> differences(const Descriptor<T>& descriptor, const T& before, const T& after) {
  return differences(*descriptor.description(), &before, &after);
}

template <class T>
void keep_until_restart(const Descriptor<T>& descriptor, const T& running, T& after) {
  keep_until_restart(*descriptor.description(), &running, &after);
}

}  // namespace autoglm::config
