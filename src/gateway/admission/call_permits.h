#pragma once

#include "gateway/admission/admission_check.h"
#include "gateway/admission/token_estimate.h"

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace autoglm::gateway {

/// All that the checks hold for a call, and what the call has used so far: however it ends, each permit is
/// told once and then destroyed, the last one first. Belongs to the call's loop.
class CallPermits {
 public:
  CallPermits() = default;
  CallPermits(CallPermits&& other) noexcept;
  CallPermits& operator=(CallPermits&&) = delete;
  ~CallPermits();

  /// Takes over what `other` holds; before `begin`.
  void take(CallPermits other) { permits_ = std::exchange(other.permits_, {}); }
  void add(std::unique_ptr<Permit> permit) { permits_.push_back(std::move(permit)); }
  bool empty() const { return permits_.empty(); }
  RateReport report() const;

  /// An endpoint begins to work for the call. Of what nobody counts later, the estimate counts: of the prompt
  /// when the client leaves or the endpoint reports no usage, of the answer when that shows no text either.
  void begin(const TokenEstimate& estimate);
  /// A fallback answers; see Permit::served_by.
  void served_by(std::string_view model);
  /// The next part of the answer; of a call that is forgotten it is no first token. Errors: a permit does not
  /// allow the answer to go on.
  Result<void> note(const EventBatch& batch);
  /// No endpoint worked for the call after all.
  void forget() { begun_ = false; }
  /// The answer is complete: tells all permits what was used, which is counted at once, and waits until it is
  /// safe to send its end. May be called again when that wait was given up.
  Task<Result<void>> close();

 private:
  void count(const EventBatch& batch);
  void settle() noexcept;  // the destructor calls it

  std::vector<std::unique_ptr<Permit>> permits_;
  Usage used_;
  std::uint64_t completion_estimate_ = 0;
  bool begun_ = false;
  bool answers_ = false;  // the answer has begun
};

}  // namespace autoglm::gateway
