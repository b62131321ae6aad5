#pragma once

#include "base/clock.h"
#include "base/function_ref.h"
#include "base/published.h"
#include "base/random.h"
#include "gateway/admission/admission_check.h"
#include "gateway/admission/limits/limit_config.h"
#include "gateway/admission/rate/concurrency.h"
#include "gateway/admission/rate/rate_table.h"
#include "gateway/admission/shared/shared_hold.h"
#include "gateway/admission/shared/shared_ledger.h"
#include "observe/metrics/registry.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace autoglm::gateway {

/// Keeps calls within `limits:`, of requests and of tokens. Tokens are reserved when a call is admitted, as
/// many as it may use, and settled when it ends. Errors: kResourceExhausted for a call that fits later, with
/// the time to wait; kInvalidArgument for one that never will.
///
/// With a SharedLedger, rates are counted there, together with other replicas. While it does not answer, this
/// replica lets its share of each limit through.
class LimitCheck final : public AdmissionCheck {
 public:
  /// `metrics` must outlive the check.
  explicit LimitCheck(observe::MetricRegistry& metrics)
      : metrics_(metrics),
        fallbacks_(metrics.counter("autoglm_limit_fallback_total",
                                   "Calls whose shared limits this replica has decided alone.")) {}

  /// Replaces the limits, each of which is valid. A limit that is there already, by name, kind, and scope,
  /// keeps what has been used of it. With `ledger`, each rate must have a SharedSpec. From the control
  /// thread.
  void apply(const std::vector<LimitConfig>& limits, MonotonicTime now,
             std::shared_ptr<SharedLedger> ledger = nullptr);

  Task<Result<std::unique_ptr<Permit>>> admit(const AdmissionFacts& facts) override;

  /// Of one limit.
  static constexpr std::size_t kMostSubjects = 100'000;
  /// Begins the subjects that stand for clients that nobody vouches for: a hash that means nothing to the
  /// next process.
  static constexpr char kUnvouched = '\x01';
  /// Calls `see` for each limit that is a rate, with what is used of it; any thread.
  void for_each_rate(FunctionRef<void(const LimitConfig&, const RateSpec&, RateTable&)> see) const;

 private:
  class LimitPermit;

  /// What is used of a limit, by subject. One of the two is there.
  struct Ledger {
    std::shared_ptr<RateTable> rates;
    std::unique_ptr<ConcurrencyTable> held;
  };
  struct Limit {
    LimitConfig config;
    RateSpec spec;  ///< of a rate
    std::shared_ptr<Ledger> ledger;
    std::shared_ptr<const SharedLimit> shared;  ///< null: counted here only
    observe::Counter* refused = nullptr;

    bool holds_for(const AdmissionFacts& facts) const;
    std::string subject_of(const AdmissionFacts& facts, std::uint64_t salt) const;
    std::string shared_subject_of(const AdmissionFacts& facts) const;
    std::uint64_t amount_of(const AdmissionFacts& facts) const;
    std::string described(const AdmissionFacts& facts) const;
  };
  struct Limits {
    std::vector<std::shared_ptr<const Limit>> all;
    std::shared_ptr<SharedLedger> ledger;  ///< null: all are counted here only
  };

  /// What is used of a limit that stays. Null: it is a new one.
  static std::shared_ptr<Ledger> kept_ledger(const Limits* before, const LimitConfig& config);
  /// The refusal of a call by the limits that replicas count together, if it is refused.
  Task<std::optional<Error>> ask_replicas(const Limits& limits, const AdmissionFacts& facts,
                                          LimitPermit& permit, Duration& delay);

  static Error refusal(const Limit& limit, const AdmissionFacts& facts, std::uint64_t amount,
                       const RateDecision& decision);
  static Error refusal(const Limit& limit, const AdmissionFacts& facts, std::uint64_t amount,
                       const ConcurrencyTable::Answer& answer);

  observe::MetricRegistry& metrics_;
  observe::Counter& fallbacks_;
  const std::uint64_t salt_ = thread_random()();  // nobody can aim at the subject of another client
  Published<Limits> limits_;
};

}  // namespace autoglm::gateway
