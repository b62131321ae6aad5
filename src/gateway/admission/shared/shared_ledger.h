#pragma once

#include "gateway/admission/rate/rate_limiter.h"
#include "gateway/admission/shared/shared_spec.h"
#include "runtime/task.h"

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace autoglm::gateway {

/// What a call takes from one limit that replicas count together.
struct SharedAsk {
  std::shared_ptr<const SharedSpec> spec;
  std::string name;  ///< of the limit and its subject; equal on all replicas, its tag in braces
  std::uint64_t amount = 0;
};

/// A call's takes, all or none of them, from the common count. Belongs to the call's loop. What it has taken
/// stays taken when it is destroyed: settle it.
class SharedTake {
 public:
  static constexpr std::uint64_t kAsReserved = UINT64_MAX;

  virtual ~SharedTake() = default;

  /// Waits until the common count has answered, but no longer than the ledger's timeout. False: it has not,
  /// or not as it should. Once.
  virtual Task<bool> answered() = 0;
  /// Once it has answered: what it says, in the order of the asks. The reservations are the take's own.
  virtual const std::vector<RateDecision>& decisions() const = 0;
  /// What the call has used of each, in the order of the asks; kAsReserved: what was reserved. What was not
  /// taken is charged: the call was admitted without an answer. If no answer has come yet, this waits for it,
  /// and nobody waits for this. Once.
  virtual void settle(std::span<const std::uint64_t> used) = 0;
};

/// Where replicas count their limits together. Thread-safe; the takes belong to the loops that ask.
class SharedLedger {
 public:
  virtual ~SharedLedger() = default;

  /// Never null; of a common count that cannot be reached it has no answer.
  virtual std::shared_ptr<SharedTake> take(std::vector<SharedAsk> asks) = 0;
  /// How many servers count together.
  virtual std::uint32_t replicas() const = 0;
};

}  // namespace autoglm::gateway
