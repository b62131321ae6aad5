#pragma once

#include "base/clock.h"
#include "base/function_ref.h"
#include "base/published.h"
#include "base/random.h"
#include "gateway/admission/admission_check.h"
#include "gateway/admission/limits/limit_config.h"
#include "gateway/admission/rate/concurrency.h"
#include "gateway/admission/rate/rate_table.h"
#include "observe/metrics/registry.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace autoglm::gateway {

/// Keeps calls within `limits:`, of requests and of tokens. Tokens are reserved when a call is admitted, as
/// many as it may use, and settled when it ends. Errors: kResourceExhausted for a call that fits later, with
/// the time to wait; kInvalidArgument for one that never will.
class LimitCheck final : public AdmissionCheck {
 public:
  /// `metrics` must outlive the check.
  explicit LimitCheck(observe::MetricRegistry& metrics) : metrics_(metrics) {}

  /// Replaces the limits, each of which is valid. A limit that is there already, by name, kind, and scope,
  /// keeps what has been used of it. From the control thread.
  void apply(const std::vector<LimitConfig>& limits, MonotonicTime now);

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
    std::unique_ptr<RateTable> rates;
    std::unique_ptr<ConcurrencyTable> held;
  };
  struct Limit {
    LimitConfig config;
    RateSpec spec;  ///< of a rate
    std::shared_ptr<Ledger> ledger;
    observe::Counter* refused = nullptr;

    bool holds_for(const AdmissionFacts& facts) const;
    std::string subject_of(const AdmissionFacts& facts, std::uint64_t salt) const;
    std::string described(const AdmissionFacts& facts) const;
  };
  using Limits = std::vector<std::shared_ptr<const Limit>>;

  static Error refusal(const Limit& limit, const AdmissionFacts& facts, std::uint64_t amount,
                       const RateDecision& decision);
  static Error refusal(const Limit& limit, const AdmissionFacts& facts, std::uint64_t amount,
                       const ConcurrencyTable::Answer& answer);

  observe::MetricRegistry& metrics_;
  const std::uint64_t salt_ = thread_random()();  // nobody can aim at the subject of another client
  Published<Limits> limits_;
};

}  // namespace autoglm::gateway
