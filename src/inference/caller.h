#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace autoglm {

/// A client that has shown a key this server knows: its names, and its rights. Immutable; all calls with the
/// key share it, also those that outlive a change of the configuration.
struct Caller {
  std::string key;                          ///< the key's name, never the key itself
  std::string tenant;                       ///< the key's name, where it has no tenant
  std::string group;                        ///< empty: none
  std::vector<std::string> models = {"*"};  ///< names; a `*` at the end stands for any rest
  std::uint8_t priority = 0;                ///< 0 … 9: the highest that a call may have, and what it has
  std::vector<std::string> limits = {};     ///< the limits that hold for it; empty: all

  /// Whatever models there are.
  bool may_use_all() const { return std::ranges::find(models, "*") != models.end(); }
  bool may_use(std::string_view model) const {
    for (const std::string& pattern : models) {
      const std::string_view name(pattern);
      if (name.ends_with('*') ? model.starts_with(name.substr(0, name.size() - 1)) : model == name)
        return true;
    }
    return false;
  }
};

using CallerPtr = std::shared_ptr<const Caller>;

}  // namespace autoglm
