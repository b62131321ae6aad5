#pragma once

#include "base/result.h"
#include "gateway/resilience/dispatcher.h"
#include "inference/events.h"
#include "runtime/deadline.h"
#include "runtime/task.h"

#include <functional>
#include <memory>
#include <optional>

namespace autoglm::gateway {

/// An endpoint's answer that has begun.
struct Opened {
  std::size_t member = 0;
  std::unique_ptr<EventStream> stream;
  EventBatch first;
  EndpointSet::Place place = {};
};

/// Asks endpoints as a dispatch says, and tells it what came of it. Lives on its caller's frame.
class Attempt {
 public:
  /// Starts the request at a member and waits for its first events.
  using Open = std::function<Task<Result<Opened>>(std::size_t member)>;
  /// Hears of each failure.
  using Failed = std::function<void(std::size_t member, const Error& error)>;

  Attempt(Dispatch& dispatch, Open open, Failed failed)
      : dispatch_(dispatch), open_(std::move(open)), failed_(std::move(failed)) {}

  /// One endpoint, until `deadline`; when it is silent for `hedge_after`, another one beside it, and the
  /// first to begin wins. The other's work is cancelled. Errors: the last one's.
  Task<Result<Opened>> run(Dispatch::Ask ask, Deadline deadline, std::optional<Duration> hedge_after);

 private:
  struct Runner;
  Result<Opened> settle(Dispatch::Ask ask, Result<Opened> outcome);
  Task<void> start(Runner& runner, Deadline deadline, Signal& ended);
  // Rare: inlined, its frame would be a part of every request's.
  [[gnu::noinline]] Task<Result<Opened>> run_hedged(Dispatch::Ask ask, Deadline deadline,
                                                    Duration hedge_after);

  Dispatch& dispatch_;
  Open open_;
  Failed failed_;
};

}  // namespace autoglm::gateway
