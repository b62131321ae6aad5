#include "app/admission.h"

#include "gateway/admission/keys/caller_rights.h"
#include "gateway/admission/usage/budget_check.h"

#include <chrono>
#include <map>
#include <string_view>
#include <utility>

namespace autoglm::app {

Result<std::unique_ptr<Admission>> Admission::create(const AdmissionConfig& config,
                                                     const std::vector<gateway::BulkheadConfig>& models,
                                                     observe::MetricRegistry& metrics, observe::Logger& log) {
  std::unique_ptr<Admission> made(new Admission());
  auto keys = KeySources::create(config, metrics, log);
  if (!keys) return fail(std::move(keys).error());
  made->keys_ = std::move(*keys);
  if (config.journal) {
    auto journal = journal::Journal::open(config.journal->options(), log, metrics);
    if (!journal) return fail(std::move(journal).error());
    made->journal_ = std::move(*journal);
  }
  const auto add = [&checks = made->checks_]<class Check>(std::unique_ptr<Check> check) {
    Check* added = check.get();
    checks.push_back(std::move(check));
    return added;
  };
  add(std::make_unique<gateway::CallerRights>());
  made->budgets_ = add(std::make_unique<gateway::BudgetCheck>(made->totals_));
  made->ledger_ = add(std::make_unique<gateway::UsageLedger>(
      gateway::UsageLedger::Options{.on_failure = config.journal ? config.journal->on_failure
                                                                 : journal::OnFailure::kServe},
      made->totals_, made->journal_.get(), metrics));
  made->limits_ = add(std::make_unique<gateway::LimitCheck>(metrics));
  // The last ones: a call that waits for its place has all else that it needs.
  made->groups_ = add(std::make_unique<gateway::GroupCheck>(config.groups, metrics));
  made->models_ = add(std::make_unique<gateway::ModelCheck>(metrics));
  if (auto restored = made->restore(config, metrics, log); !restored)
    return fail(std::move(restored).error());
  made->apply(config, models, {});
  made->keys_->on_change([admission = made.get()] { admission->apply_budgets(); });
  return made;
}

Result<void> Admission::restore(const AdmissionConfig& config, observe::MetricRegistry& metrics,
                                observe::Logger& log) {
  if (!journal_) return {};
  limits_->apply(config.limits, std::chrono::steady_clock::now());
  snapshots_ = std::make_unique<gateway::LimitSnapshots>(gateway::LimitSnapshots::Options{}, *limits_,
                                                         *journal_, log, metrics);
  std::map<std::string_view, const std::vector<std::string>*> named;
  keys_->for_each_in_force([&named](const gateway::KeyConfig& key) { named.emplace(key.name, &key.limits); });
  const auto* of_tokens = config.jwt ? &config.jwt->limits : nullptr;
  snapshots_->begin_restore([named = std::move(named), of_tokens](std::string_view key) {
    if (key.starts_with("jwt:")) return of_tokens;
    const auto found = named.find(key);
    return found == named.end() ? nullptr : found->second;
  });
  const auto restored = ledger_->restore(
      [&](const gateway::UsageRecord& record, std::uint64_t sequence) { snapshots_->see(record, sequence); });
  if (!restored) return fail(restored.error());
  snapshots_->finish_restore();
  index_ = std::make_unique<gateway::LiveUsageIndex>(
      gateway::UsageIndex::Options{.path = config.journal->path + "/usage.db"}, *journal_, log, metrics);
  log.info("usage restored from the journal",
           {{"records", restored->records}, {"unreadable", restored->unreadable}});
  return {};
}

void Admission::close() {
  if (snapshots_) snapshots_->close();
}

void Admission::share_limits(const gateway::RedisLedger::Dependencies& dependencies,
                             const AdmissionConfig& config) {
  loops_.emplace(dependencies);
  apply_limits(config);
}

void Admission::leave_loops() {
  if (redis_) redis_->stop();
}

void Admission::apply_limits(const AdmissionConfig& config) {
  std::shared_ptr<gateway::RedisLedger> next;
  if (config.redis && loops_) {
    if (redis_ && redis_->config() == *config.redis) {
      next = redis_;
    } else if (auto started = gateway::RedisLedger::start(*config.redis, *loops_)) {
      next = std::move(*started);
    } else {
      loops_->log.error("Redis cannot be used; limits are counted as before",
                        {{"error", started.error().message}});
      next = redis_;
    }
  }
  limits_->apply(config.limits, std::chrono::steady_clock::now(), next);
  if (redis_ && redis_ != next) redis_->stop();
  redis_ = std::move(next);
}

Result<Admission::Prepared> Admission::prepare(const AdmissionConfig& written,
                                               const AdmissionConfig& next) const {
  if (auto closed = check_reload(written, next); !closed) return fail(std::move(closed).error());
  return keys_->prepare(next);
}

void Admission::apply(const AdmissionConfig& config, const std::vector<gateway::BulkheadConfig>& models,
                      Prepared prepared) {
  keys_->apply(config, std::move(prepared));
  apply_limits(config);
  groups_->apply(config.groups);
  shares_->set(gateway::shares_of(config.groups));
  models_->apply(models);
  const auto prices = *gateway::PriceTable::make(config.prices);
  ledger_->apply(prices);
  budgets_->apply(prices);
  tenants_ = config.tenants;
  apply_budgets();
  is_asked_ =
      journal_ || keys_->asks() || !config.limits.empty() || !config.prices.empty() || models_->limits_any();
}

void Admission::apply_budgets() {
  auto budgets = std::make_shared<gateway::Budgets>();
  keys_->add_budgets(*budgets);
  for (const TenantConfig& tenant : tenants_)
    if (tenant.budget) budgets->tenants.emplace(tenant.name, *tenant.budget);
  budgets_->apply(std::move(budgets));
}

}  // namespace autoglm::app
