#include "app/admission_config.h"

#include "gateway/admission/keys/key_ring.h"
#include "gateway/admission/shared/shared_spec.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <set>
#include <string_view>

namespace autoglm::app {

namespace {

/// Names of a section's elements that stand there twice.
template <class Element>
void check_names(std::string_view section, const std::vector<Element>& elements,
                 std::vector<config::Violation>& wrong) {
  std::set<std::string> names;
  for (std::size_t i = 0; i < elements.size(); ++i) {
    if (!names.insert(elements[i].name).second)
      wrong.push_back(
          {fmt::format("{}[{}].name", section, i), "another one is called \"" + elements[i].name + "\""});
  }
}

/// Limits that replicas cannot count together.
void check_shared(const AdmissionConfig& config, std::vector<config::Violation>& wrong) {
  if (!config.redis) return;
  for (std::size_t i = 0; i < config.limits.size(); ++i) {
    if (!config.limits[i].is_rate()) continue;
    const auto spec = gateway::rate_of(config.limits[i]);
    const auto shared = spec ? gateway::SharedSpec::of(*spec) : fail(spec.error());
    if (!shared)
      wrong.push_back({fmt::format("limits[{}].{}", i, shared.error().param), shared.error().message});
  }
}

bool has_budget(const AdmissionConfig& config, gateway::BudgetPeriod per) {
  const auto has = [per](const auto& each) { return each.budget && each.budget->per == per; };
  return std::ranges::any_of(config.keys, has) || std::ranges::any_of(config.tenants, has);
}

/// A journal that a restart of a budget's last day finds shortened.
void check_retention(const AdmissionConfig& config, std::vector<config::Violation>& wrong) {
  if (!config.journal) return;
  const Duration retention = config.journal->retention;
  if (retention < kLongestMonth && has_budget(config, gateway::BudgetPeriod::kMonth)) {
    wrong.push_back(
        {"journal.retention",
         "is shorter than a month: a restart would forget a part of a monthly budget; write 31d or more"});
  } else if (retention < std::chrono::hours(24) && has_budget(config, gateway::BudgetPeriod::kDay)) {
    wrong.push_back(
        {"journal.retention",
         "is shorter than a day: a restart would forget a part of a daily budget; write 1d or more"});
  }
}

/// The group and the limits that the callers at `path` have.
void check_callers(const AdmissionConfig& config, const std::string& path, const std::string& group,
                   const std::vector<std::string>& limits, std::vector<config::Violation>& wrong) {
  for (config::Violation& each : check_rights(config, group, limits))
    wrong.push_back({path + "." + each.path, std::move(each.message)});
}

std::vector<config::Violation> check_admission(const AdmissionConfig& config) {
  std::vector<config::Violation> wrong;
  check_names("keys", config.keys, wrong);
  check_names("tenants", config.tenants, wrong);
  check_names("limits", config.limits, wrong);
  check_names("groups", config.groups, wrong);
  check_shared(config, wrong);
  for (std::size_t i = 0; i < config.keys.size(); ++i)
    check_callers(config, fmt::format("keys[{}]", i), config.keys[i].group, config.keys[i].limits, wrong);
  if (config.jwt) check_callers(config, "jwt", config.jwt->group, config.jwt->limits, wrong);
  for (std::size_t i = 0; i < config.tenants.size(); ++i) {
    const std::string& name = config.tenants[i].name;
    const bool has_keys = std::ranges::any_of(config.keys, [&](const gateway::KeyConfig& key) {
      return (key.tenant.empty() ? key.name : key.tenant) == name;
    });
    if (!has_keys && config.has_all_callers())
      wrong.push_back({fmt::format("tenants[{}].name", i), "no key belongs to a tenant \"" + name + "\""});
  }
  for (config::Violation& each : gateway::check_shares(config.groups)) wrong.push_back(std::move(each));
  for (config::Violation& each : gateway::check_prices(config.prices)) wrong.push_back(std::move(each));
  check_retention(config, wrong);
  if (const auto ring = gateway::KeyRing::make(config.keys); !ring)
    wrong.push_back({"keys", "two of them: `key` " + ring.error().message});
  return wrong;
}

config::Descriptor<TenantConfig> describe_tenant() {
  using C = TenantConfig;
  return config::Descriptor<C>("tenant", "What holds for all keys of a tenant together.")
      .field("name", &C::name,
             {.doc = "As `keys[].tenant` has it.", .example = "a", .min = 1, .required = true})
      .section("budget", &C::budget, gateway::describe_budget());
}

config::Descriptor<KeyStoreConfig> describe_key_store() {
  using C = KeyStoreConfig;
  return config::Descriptor<C>("key_store",
                               "Keys that are made while the server runs, by `open-autoglm keys` or on the "
                               "admin address: an SQLite file, which has digests of the keys alone.")
      .field("path", &C::path,
             {.doc = "The file, on a local disk. It is made where there is none; its folder must exist.",
              .example = "/var/lib/open-autoglm/keys.db",
              .min = 1,
              .required = true});
}

}  // namespace

Result<void> check_reload(const AdmissionConfig& written, const AdmissionConfig& next) {
  if (!written.asks() || next.asks()) return {};
  return fail(ErrorCode::kInvalidArgument,
              "keys_file and key_store need a restart, and without `keys` and `jwt` the server would be open "
              "until then: start it again, or leave an entry in `keys`");
}

std::vector<config::Violation> check_rights(const AdmissionConfig& config, const std::string& group,
                                            const std::vector<std::string>& limits) {
  std::vector<config::Violation> wrong;
  // A group may be a name alone, for limits per group.
  const bool is_known =
      std::ranges::find(config.groups, group, &gateway::GroupConfig::name) != config.groups.end();
  if (!group.empty() && !config.groups.empty() && !is_known)
    wrong.push_back({"group", "names no group of `groups`: \"" + group + "\""});
  for (std::size_t k = 0; k < limits.size(); ++k) {
    const std::string at = fmt::format("limits[{}]", k);
    const auto limit = std::ranges::find(config.limits, limits[k], &gateway::LimitConfig::name);
    if (limit == config.limits.end()) {
      wrong.push_back({at, "names no limit of `limits`: \"" + limits[k] + "\""});
    } else if (limit->per == gateway::LimitScope::kModel || limit->per == gateway::LimitScope::kGlobal) {
      // It alone would leave the key without any limit of its own.
      wrong.push_back({at, "holds for all keys anyway: it is per model or global"});
    }
  }
  return wrong;
}

config::Descriptor<AdmissionConfig> describe_admission() {
  using C = AdmissionConfig;
  return config::Descriptor<C>("admission", "Who may ask, how much, and what is written down of it.")
      .section("keys", &C::keys, gateway::describe_key(), {.live = true, .identity = "name"})
      .field(
          "keys_file", &C::keys_file,
          {.doc = "A file with further entries of `keys`, a list in YAML or JSON. It is read again when it "
                  "changes; with a mistake in it, the keys of before stay.",
           .example = "/run/secrets/open-autoglm-keys.yaml"})
      .section("key_store", &C::key_store, describe_key_store())
      .section("jwt", &C::jwt, gateway::describe_jwt(), {.live = true})
      .section("tenants", &C::tenants, describe_tenant(), {.live = true, .identity = "name"})
      .section("limits", &C::limits, gateway::describe_limit(), {.live = true, .identity = "name"})
      .section("groups", &C::groups, gateway::describe_group(), {.live = true, .identity = "name"})
      .section("prices", &C::prices, gateway::describe_price(), {.live = true, .identity = "model"})
      .section("journal", &C::journal, journal::describe_journal())
      .section("redis", &C::redis, redis::describe_redis(), {.live = true})
      .check(check_admission);
}

}  // namespace autoglm::app
