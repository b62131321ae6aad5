#pragma once

#include "base/result.h"
#include "gateway/admission/rate/rate_state.h"
#include "gateway/admission/token_estimate.h"
#include "inference/call_context.h"
#include "inference/events.h"
#include "inference/request.h"
#include "runtime/task.h"

#include <memory>
#include <optional>
#include <string_view>

namespace autoglm::gateway {

/// What a check may know of a call.
struct AdmissionFacts {
  std::string_view model;                     ///< as resolved
  const InferenceRequest* request = nullptr;  ///< null: a call without a stream, such as tokenizing
  TokenEstimate tokens = {};                  ///< of the request
  const CallContext& context;
};

/// How near a call's caller is to its limits: of those that count requests and of those that count tokens,
/// the one with the smallest share left. Clients see it in the headers x-ratelimit-*.
struct RateReport {
  std::optional<RateState> requests;
  std::optional<RateState> tokens;

  /// Keeps the tighter one of `kept` and `other`.
  static void tighten(std::optional<RateState>& kept, const RateState& other) {
    const auto left = [](const RateState& state) {
      return static_cast<double>(state.remaining) / static_cast<double>(state.limit);
    };
    if (!kept || left(other) < left(*kept)) kept = other;
  }
};

/// What a check holds for a call: a place, a share of a limit. Held until the answer has ended, however it
/// ends; the destructor gives it back. Belongs to the call's loop.
class Permit {
 public:
  virtual ~Permit() = default;

  /// Another model than the one that was asked answers, perhaps a third one later. Before `settle`.
  virtual void served_by(std::string_view /*model*/) {}
  /// The answer's first token, or its end, has come from an endpoint that works for it. At most once.
  virtual void first_token() {}
  /// What the call has used so far, after each part of its answer. An error ends the answer with it, unless
  /// that part is the last one.
  virtual Result<void> watch(const Usage& /*used*/) { return {}; }
  /// Says what the call has used, once, before the permit is destroyed. A call that no endpoint worked for
  /// has used nothing, and does not say so.
  virtual void settle(const Usage& /*used*/) {}
  /// After `settle` of a call that has ended by itself. What others must know of it is counted when this
  /// returns; the task is what must be done besides before the client gets the answer's last bytes, if
  /// anything. An error takes the place of these bytes. The task may be destroyed before its end, and another
  /// one asked for.
  virtual std::optional<Task<Result<void>>> commit() { return std::nullopt; }
  /// `commit` of all permits has returned, and the answer is complete: gives back what is held beside what
  /// they have counted, since the client may soon know of the end and call again. Also more than once.
  virtual void closed() {}
  /// Adds the limits that the permit belongs to.
  virtual void report(RateReport& /*report*/) const {}
};

/// Says whether a call may go on, before any endpoint works for it: limits, quotas, keys. Checks stand in a
/// list (app/builtins.cc); a call passes them in that order, and what an earlier one holds is given back when
/// a later one refuses. One object serves all loops; thread-safe.
class AdmissionCheck {
 public:
  virtual ~AdmissionCheck() = default;

  /// A check may let the call wait, up to `facts.context.deadline`; destroying the task ends the wait. Null:
  /// it holds nothing. An error is the refusal, for the client: it says when or how to try again. `facts`
  /// outlive the task.
  virtual Task<Result<std::unique_ptr<Permit>>> admit(const AdmissionFacts& facts) = 0;
};

}  // namespace autoglm::gateway
