#pragma once

#include "base/clock.h"
#include "gateway/admission/admission_check.h"
#include "gateway/admission/groups/bulkhead_config.h"
#include "gateway/admission/rate/striped.h"
#include "observe/metrics/registry.h"

#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace autoglm::gateway {

/// Bulkheads by name, as configured now, and their metrics. Tenants take turns by what their calls cost, in
/// tokens as estimated from the request. Thread-safe; `metrics` and `clock` outlive it and its permits.
class BulkheadSet {
 public:
  /// `clock`: null: that of the loops.
  BulkheadSet(const BulkheadKind& kind, observe::MetricRegistry& metrics, const Clock* clock = nullptr)
      : kind_(kind), metrics_(metrics), clock_(clock) {}
  ~BulkheadSet();

  /// Waits for a place of that bulkhead. Null: there is none of that name. Errors: those of Bulkhead::enter.
  Task<Result<std::unique_ptr<Permit>>> enter(std::string_view name, std::string_view tenant,
                                              const AdmissionFacts& facts);

  /// Takes a new configuration, whose names differ. Bulkheads that are still there change for their waiters,
  /// too. One that is gone admits its waiters at once; the places that its calls hold count again should it
  /// come back before they end.
  void apply(const std::vector<BulkheadConfig>& configs);

 private:
  struct Member;
  class Held;

  std::shared_ptr<Member> find(std::string_view name);

  const BulkheadKind& kind_;
  observe::MetricRegistry& metrics_;
  const Clock* clock_;
  std::mutex mutex_;
  BySubject<std::shared_ptr<Member>> members_;  // and those that are gone, while calls of theirs run
};

}  // namespace autoglm::gateway
