#pragma once

#include "base/function_ref.h"
#include "base/result.h"
#include "gateway/resilience/dispatcher.h"
#include "inference/events.h"
#include "runtime/deadline.h"
#include "runtime/task.h"

#include <memory>
#include <optional>

namespace autoglm::gateway {

/// An endpoint's answer that has begun.
struct Opened {
  std::optional<Ask> ask = std::nullopt;  ///< first: it keeps the stream's endpoint alive
  std::unique_ptr<EventStream> stream;
  EventBatch first;
};

/// Asks endpoints as a dispatch says, and tells the dispatch each outcome. Lives on its caller's frame.
class Opening {
 public:
  /// Starts the request at a member and waits for its first events.
  using Open = FunctionRef<Task<Result<Opened>>(const PoolMember& member)>;
  struct Limits {
    /// When the endpoint's first events are due: without them, it has failed.
    Deadline due;
    /// Until when the caller waits for them. When that is before `due`, the endpoint is not to blame.
    Deadline patience;
    std::optional<Duration> hedge_after;
  };

  Opening(Dispatch& dispatch, Open open) : dispatch_(dispatch), open_(open) {}

  /// Asks one endpoint, and a second one when the first is silent for `hedge_after`; the first to begin wins,
  /// and the other's work is cancelled. Errors: of the attempt that failed last.
  Task<Result<Opened>> run(Ask ask, Limits limits);

 private:
  struct Runner;
  Result<Opened> settle(Ask ask, Result<Opened> outcome, const Limits& limits);
  Task<void> start(Runner& runner, Limits limits, Signal& ended);
  // Rare: inlined, its frame would be a part of every request's.
  [[gnu::noinline]] Task<Result<Opened>> run_hedged(Ask ask, Limits limits);

  Dispatch& dispatch_;
  Open open_;
};

}  // namespace autoglm::gateway
