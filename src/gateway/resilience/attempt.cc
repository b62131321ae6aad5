#include "gateway/resilience/attempt.h"

#include "runtime/race.h"
#include "runtime/scope.h"

#include <array>
#include <utility>

namespace autoglm::gateway {

struct Attempt::Runner {
  std::optional<Dispatch::Ask> ask;  // while its end is not settled
  std::optional<Result<Opened>> outcome;
};

Result<Opened> Attempt::settle(Dispatch::Ask ask, Result<Opened> outcome) {
  const auto now = loop_time();
  if (outcome) {
    dispatch_.succeeded(ask, now);
    outcome->place = std::move(ask.place);
    return outcome;
  }
  if (outcome.error().code == ErrorCode::kDeadlineExceeded) {
    outcome.error().origin = Origin::kEndpoint;
    outcome.error().retry = Retry::kElsewhere;
  }
  failed_(ask.member, outcome.error());
  dispatch_.failed(std::move(ask), outcome.error(), now);
  return outcome;
}

Task<Result<Opened>> Attempt::run(Dispatch::Ask ask, Deadline deadline, std::optional<Duration> hedge_after) {
  if (hedge_after) co_return co_await run_hedged(std::move(ask), deadline, *hedge_after);
  auto outcome = co_await with_deadline(deadline, open_(ask.member), "the endpoint's first token");
  co_return settle(std::move(ask), std::move(outcome));
}

Task<void> Attempt::start(Runner& runner, Deadline deadline, Signal& ended) {
  runner.outcome = co_await with_deadline(deadline, open_(runner.ask->member), "the endpoint's first token");
  ended.set();
}

Task<Result<Opened>> Attempt::run_hedged(Dispatch::Ask ask, Deadline deadline, Duration hedge_after) {
  std::array<Runner, 2> runners;
  Signal ended;
  Scope scope;  // last: its tasks use the above
  runners[0].ask = std::move(ask);
  scope.spawn(start(runners[0], deadline, ended));
  const auto wait = [](Signal& signal) -> Task<Result<void>> {
    co_await signal.wait();
    co_return Result<void>();
  };
  if (!co_await with_deadline(Deadline::after(hedge_after), wait(ended), "the first endpoint")) {
    if ((runners[1].ask = dispatch_.hedge(std::chrono::steady_clock::now())))
      scope.spawn(start(runners[1], deadline, ended));
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
      last = settle(std::move(*std::exchange(runner.ask, std::nullopt)), std::move(*runner.outcome));
      if (!*last) continue;
      if (&runner == &runners[1]) dispatch_.hedge_won();
      co_return std::move(*last);
    }
    if (!running) co_return std::move(*last);
  }
}

}  // namespace autoglm::gateway
