#pragma once

#include "config/descriptor.h"
#include "gateway/admission/usage/budget_check.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace autoglm::gateway {

/// One of `keys:`.
struct KeyConfig {
  std::string name;
  std::string key;  ///< itself, or "sha256:" and its digest in hexadecimal
  std::string tenant;
  std::string group;
  std::vector<std::string> models = {"*"};
  std::uint8_t priority = 0;
  std::vector<std::string> limits;
  std::optional<BudgetConfig> budget;

  bool operator==(const KeyConfig&) const = default;
};

config::Descriptor<KeyConfig> describe_key();

}  // namespace autoglm::gateway
