#pragma once

#include "config/descriptor.h"
#include "gateway/admission/groups/group_config.h"
#include "gateway/admission/keys/key_config.h"
#include "gateway/admission/limits/limit_config.h"
#include "gateway/admission/usage/budget_check.h"
#include "gateway/admission/usage/price.h"
#include "journal/journal_config.h"

#include <optional>
#include <string>
#include <vector>

namespace autoglm::app {

/// One of `tenants:`.
struct TenantConfig {
  std::string name;
  std::optional<gateway::BudgetConfig> budget;

  bool operator==(const TenantConfig&) const = default;
};

/// Who may ask, how much, and what is written down of it: sections that stand at the file's top.
struct AdmissionConfig {
  std::vector<gateway::KeyConfig> keys;
  std::vector<TenantConfig> tenants;
  std::vector<gateway::LimitConfig> limits;
  std::vector<gateway::GroupConfig> groups;
  std::vector<gateway::PriceConfig> prices;
  std::optional<journal::JournalConfig> journal;
};

config::Descriptor<AdmissionConfig> describe_admission();

}  // namespace autoglm::app
