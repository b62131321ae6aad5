#pragma once

#include "app/admission_config.h"
#include "app/key_sources.h"
#include "gateway/admission/groups/group_check.h"
#include "gateway/admission/limits/limit_check.h"
#include "gateway/admission/limits/limit_snapshots.h"
#include "gateway/admission/models/model_check.h"
#include "gateway/admission/shared/redis_ledger.h"
#include "gateway/admission/usage/live_usage_index.h"
#include "gateway/admission/usage/usage_ledger.h"
#include "gateway/pipeline.h"
#include "inference/group_shares.h"
#include "journal/journal.h"
#include "observe/log/logger.h"
#include "observe/metrics/registry.h"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace autoglm::app {

/// What is asked of clients, and what is written down of their calls. It outlives the pipeline that has its
/// checks, and it is destroyed before the loops. Follows the configuration, from the control thread.
class Admission {
 public:
  /// Opens the journal and reads it. Errors: those of Journal::open and of its replay.
  static Result<std::unique_ptr<Admission>> create(const AdmissionConfig& config,
                                                   const std::vector<gateway::BulkheadConfig>& models,
                                                   observe::MetricRegistry& metrics, observe::Logger& log);

  /// What every call passes before an endpoint works for it, in this order. Once.
  gateway::Pipeline::Checks take_checks() { return std::move(checks_); }
  /// What a reload needs of files.
  using Prepared = JwksSource::Prepared;
  /// Whether a reload may go from what is `written` to `next`, which keeps what needs a restart; reads what
  /// `apply` needs, and changes nothing. Errors: those of check_reload, and of files.
  Result<Prepared> prepare(const AdmissionConfig& written, const AdmissionConfig& next) const;
  void apply(const AdmissionConfig& config, const std::vector<gateway::BulkheadConfig>& models,
             Prepared prepared);
  /// Saves what the next process goes on with. After the last call has ended, before the checks go.
  void close();

  /// From now on, `apply` lets replicas count limits together where the configuration says so. Once, before
  /// the loops take calls.
  void share_limits(const gateway::RedisLedger::Dependencies& dependencies, const AdmissionConfig& config);
  /// Ends the connections of the loops, which still run.
  void leave_loops();

  /// Where keys come from; the server's own tasks run its `watch`.
  KeySources& keys() { return *keys_; }
  const KeySources& keys() const { return *keys_; }
  const gateway::UsageTotals& totals() const { return totals_; }
  /// For engines, which may outlive this.
  std::shared_ptr<const LiveGroupShares> shares() const { return shares_; }
  /// Null: there is no journal.
  gateway::LiveUsageIndex* index() const { return index_.get(); }
  /// Whether anything is asked of calls, or written down of them, as is configured now.
  bool is_asked() const { return is_asked_; }
  std::string currency() const { return ledger_->prices()->currency(); }

 private:
  Admission() = default;
  Result<void> restore(const AdmissionConfig& config, observe::MetricRegistry& metrics, observe::Logger& log);
  void apply_budgets();
  void apply_limits(const AdmissionConfig& config);

  std::unique_ptr<KeySources> keys_;
  std::vector<TenantConfig> tenants_;
  std::shared_ptr<LiveGroupShares> shares_ = std::make_shared<LiveGroupShares>();
  gateway::UsageTotals totals_;
  std::unique_ptr<journal::Journal> journal_;       // null: there is none
  std::unique_ptr<gateway::LiveUsageIndex> index_;  // of the journal
  gateway::Pipeline::Checks checks_;
  gateway::BudgetCheck* budgets_ = nullptr;  // of the checks, as are these
  gateway::UsageLedger* ledger_ = nullptr;
  gateway::LimitCheck* limits_ = nullptr;
  gateway::GroupCheck* groups_ = nullptr;
  gateway::ModelCheck* models_ = nullptr;
  std::unique_ptr<gateway::LimitSnapshots> snapshots_;  // null: there is no journal
  std::optional<gateway::RedisLedger::Dependencies> loops_;
  std::shared_ptr<gateway::RedisLedger> redis_;  // null: limits are counted here only
  bool is_asked_ = false;
};

}  // namespace autoglm::app
