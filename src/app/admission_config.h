#pragma once

#include "base/clock.h"
#include "base/result.h"
#include "config/descriptor.h"
#include "gateway/admission/groups/group_config.h"
#include "gateway/admission/jwt/jwt_config.h"
#include "gateway/admission/keys/key_config.h"
#include "gateway/admission/limits/limit_config.h"
#include "gateway/admission/usage/budget_check.h"
#include "gateway/admission/usage/price.h"
#include "journal/journal_config.h"
#include "redis/redis_config.h"

#include <chrono>
#include <optional>
#include <string>
#include <vector>

namespace autoglm::app {

/// What a journal must keep for budgets of a month.
inline constexpr Duration kLongestMonth = std::chrono::days(31);

/// One of `tenants:`.
struct TenantConfig {
  std::string name;
  std::optional<gateway::BudgetConfig> budget;

  bool operator==(const TenantConfig&) const = default;
};

/// `key_store:`: keys that are made while the server runs.
struct KeyStoreConfig {
  std::string path;

  bool operator==(const KeyStoreConfig&) const = default;
};

/// Who may ask, how much, and what is written down of it: sections that stand at the file's top.
struct AdmissionConfig {
  std::vector<gateway::KeyConfig> keys;
  std::string keys_file;
  std::optional<KeyStoreConfig> key_store;
  std::optional<gateway::JwtConfig> jwt;
  std::vector<TenantConfig> tenants;
  std::vector<gateway::LimitConfig> limits;
  std::vector<gateway::GroupConfig> groups;
  std::vector<gateway::PriceConfig> prices;
  std::optional<journal::JournalConfig> journal;
  std::optional<redis::RedisConfig> redis;

  /// Whether `keys` are all the callers that there are.
  bool has_all_callers() const { return keys_file.empty() && !key_store && !jwt; }
  /// Whether clients must show who they are.
  bool asks() const { return !keys.empty() || !has_all_callers(); }
};

/// Whether a reload may go from what is `written` to `next`, which keeps what needs a restart. Errors: the
/// file asks for callers, and the server would ask nobody until it is started again.
Result<void> check_reload(const AdmissionConfig& written, const AdmissionConfig& next);

/// What is wrong with the group and the limits that a caller has.
std::vector<config::Violation> check_rights(const AdmissionConfig& config, const std::string& group,
                                            const std::vector<std::string>& limits);

config::Descriptor<AdmissionConfig> describe_admission();

}  // namespace autoglm::app
