#pragma once

#include "config/descriptor.h"
#include "gateway/admission/usage/budget_check.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace autoglm::gateway {

/// One of `keys:`, of `keys_file`, or of the key store, where `key` is empty.
struct KeyConfig {
  std::string name;
  std::string key;          ///< itself, or "sha256:" and its digest in hexadecimal
  std::string certificate;  ///< the client certificate that stands for it: "spiffe://…", "dns:…", "cn:…"
  std::string tenant;
  std::string group;
  std::vector<std::string> models = {"*"};
  std::uint8_t priority = 0;
  std::vector<std::string> limits;
  std::optional<BudgetConfig> budget;
  std::string expires;  ///< RFC 3339; empty: never
  std::map<std::string, std::string> labels;

  const std::string& tenant_name() const { return tenant.empty() ? name : tenant; }
  bool operator==(const KeyConfig&) const = default;
};

config::Descriptor<KeyConfig> describe_key();

}  // namespace autoglm::gateway
