#include "gateway/resilience/opening.h"

#include "runtime/race.h"
#include "runtime/scope.h"

#include <array>
#include <utility>

namespace autoglm::gateway {

struct Opening::Runner {
  std::optional<Ask> ask;  // until its outcome is settled
  std::optional<Result<Opened>> outcome;
};

Result<Opened> Opening::settle(Ask ask, Result<Opened> outcome, const Limits& limits) {
  const auto now = loop_time();
  if (outcome) {
    dispatch_.succeeded(ask, now);
    outcome->ask = std::move(ask);
    return outcome;
  }
  Error& error = outcome.error();
  const bool given_up = error.code == ErrorCode::kDeadlineExceeded && error.origin == Origin::kLocal;
  if (given_up && limits.due.passed(now)) error = too_silent();
  dispatch_.failed(std::move(ask), error, now);
  return outcome;
}

Task<Result<Opened>> Opening::run(Ask ask, Limits limits) {
  if (limits.hedge_after) co_return co_await run_hedged(std::move(ask), limits);
  std::optional<Result<Opened>> outcome;
  {
    Ask::Wait wait(ask, limits.due);
    outcome = co_await with_deadline(limits.patience, open_(ask.member()),
                                     "the wait for the endpoint's first token");
    wait.over();
  }
  co_return settle(std::move(ask), std::move(*outcome), limits);
}

Task<void> Opening::start(Runner& runner, Limits limits, Signal& ended) {
  Ask::Wait wait(*runner.ask, limits.due);
  runner.outcome = co_await with_deadline(limits.patience, open_(runner.ask->member()),
                                          "the wait for the endpoint's first token");
  wait.over();
  ended.set();
}

Task<Result<Opened>> Opening::run_hedged(Ask ask, Limits limits) {
  std::array<Runner, 2> runners;
  Signal ended;
  Scope scope;  // last: its tasks use the above
  runners[0].ask = std::move(ask);
  scope.spawn(start(runners[0], limits, ended));
  if (!co_await with_deadline(Deadline::after(*limits.hedge_after), raised(ended), "the first endpoint")) {
    if ((runners[1].ask = dispatch_.hedge(std::chrono::steady_clock::now())))
      scope.spawn(start(runners[1], limits, ended));
  }
  std::optional<Result<Opened>> last;
  while (true) {
    co_await ended.wait();
    ended.clear();
    bool running = false;
    for (Runner& runner : runners) {
      if (!runner.ask) continue;
      if (!runner.outcome) {
        running = true;
        continue;
      }
      last = settle(std::move(*std::exchange(runner.ask, std::nullopt)), std::move(*runner.outcome), limits);
      if (!*last) continue;
      if (&runner == &runners[1]) dispatch_.hedge_won();
      scope.cancel();
      for (Runner& other : runners) {
        // One that ended at the same moment is judged as if it had been seen first.
        if (other.ask && other.outcome) {
          (void)settle(std::move(*std::exchange(other.ask, std::nullopt)), std::move(*other.outcome), limits);
        } else if (other.ask) {
          dispatch_.outpaced(std::move(*std::exchange(other.ask, std::nullopt)), *limits.hedge_after,
                             loop_time());
        }
      }
      co_return std::move(*last);
    }
    if (!running) co_return std::move(*last);
  }
}

}  // namespace autoglm::gateway
