#pragma once

#include "config/descriptor.h"

#include <string>
#include <vector>

/// From one configuration to the next while a process runs. What may change then, the descriptors say.
namespace autoglm::config {

/// A key whose value differs between two configurations.
struct Difference {
  std::string path;  ///< elements that have an identity are named by it: `models[small].engine.threads`
  bool live;         ///< may change without a restart
  auto operator<=>(const Difference&) const = default;
};

/// All of them, by path. What only one of the two has (an optional's value, an element) counts as one.
std::vector<Difference> differences(const Section& root, const void* before, const void* after);

/// Puts what only a restart can change in `after` back to what it is in `running`: `after` is then what a
/// process runs with that goes on.
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
