#include "app/admission.h"

#include "gateway/admission/keys/caller_rights.h"
#include "gateway/admission/usage/budget_check.h"

#include <chrono>
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
  if (auto restored = made->restore(log); !restored) return fail(std::move(restored).error());
  made->apply(config, models);
  made->keys_->on_change([admission = made.get()] { admission->apply_budgets(); });
  return made;
}

Result<void> Admission::restore(observe::Logger& log) {
  if (!journal_) return {};
  const auto restored = ledger_->restore();
  if (!restored) return fail(restored.error());
  log.info("usage restored from the journal",
           {{"records", restored->records}, {"unreadable", restored->unreadable}});
  return {};
}

void Admission::apply(const AdmissionConfig& config, const std::vector<gateway::BulkheadConfig>& models) {
  keys_->apply(config);
  limits_->apply(config.limits, std::chrono::steady_clock::now());
  groups_->apply(config.groups);
  shares_->set(gateway::shares_of(config.groups));
  models_->apply(models);
  ledger_->apply(*gateway::PriceTable::make(config.prices));
  tenants_ = config.tenants;
  apply_budgets();
  is_asked_ = journal_ || keys_->asks() || !config.limits.empty() || !config.prices.empty() ||
              models_->limits_any();
}

void Admission::apply_budgets() {
  auto budgets = std::make_shared<gateway::Budgets>();
  keys_->add_budgets(*budgets);
  for (const TenantConfig& tenant : tenants_)
    if (tenant.budget) budgets->tenants.emplace(tenant.name, *tenant.budget);
  budgets_->apply(std::move(budgets));
}

}  // namespace autoglm::app
