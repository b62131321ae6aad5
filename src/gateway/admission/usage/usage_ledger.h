#pragma once

#include "base/function_ref.h"
#include "base/published.h"
#include "gateway/admission/admission_check.h"
#include "gateway/admission/usage/price.h"
#include "gateway/admission/usage/usage_day.h"
#include "gateway/admission/usage/usage_metrics.h"
#include "gateway/admission/usage/usage_totals.h"
#include "journal/journal.h"
#include "observe/metrics/registry.h"

#include <cstdint>
#include <memory>
#include <utility>

namespace autoglm::gateway {

/// Records what every call has used, exactly once: in the totals, in the metrics and in the journal. A
/// complete answer's end waits until the journal has its record; a cut call's record is posted when its
/// permit goes. A record that the journal refuses is counted all the same, until the next restart. Calls
/// without an InferenceRequest are not recorded. Thread-safe.
///
/// Totals, journal and registry must outlive it, and it must outlive its permits.
class UsageLedger final : public AdmissionCheck {
 public:
  struct Options {
    journal::OnFailure on_failure = journal::OnFailure::kRefuse;  ///< the journal's
    WallClock now = std::chrono::system_clock::now;
  };

  /// `journal`: null: usage is kept in memory only.
  UsageLedger(Options options, UsageTotals& totals, journal::Journal* journal,
              observe::MetricRegistry& registry);

  /// Errors: kUnavailable while the journal takes no records and calls are refused then.
  Task<Result<std::unique_ptr<Permit>>> admit(const AdmissionFacts& facts) override;

  /// The prices from now on; a call has those of the time when it ends. Everything is free before the first.
  void apply(std::shared_ptr<const PriceTable> prices) { prices_.set(std::move(prices)); }
  std::shared_ptr<const PriceTable> prices() const { return prices_.get(); }

  struct Restored {
    std::uint64_t records = 0;
    std::uint64_t unreadable = 0;  ///< records of usage that this program cannot read
  };
  using See = FunctionRef<void(const UsageRecord&, std::uint64_t sequence)>;
  /// Adds what the journal has to the totals, and shows it to `see`; once, before the first call. Blocks.
  /// Errors: those of Journal::replay.
  Result<Restored> restore(See see);
  Result<Restored> restore() {
    return restore([](const UsageRecord&, std::uint64_t) {});
  }

 private:
  class UsagePermit;
  void count(const UsageRecord& record);

  const Options options_;
  UsageTotals& totals_;
  journal::Journal* const journal_;
  UsageMetrics metrics_;
  Published<PriceTable> prices_;
};

}  // namespace autoglm::gateway
