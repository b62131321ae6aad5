#include "app/departure.h"

#include "runtime/deadline.h"
#include "runtime/event_loop.h"

#include <chrono>

namespace autoglm::app {

Task<void> depart(Departing process, int signal, DepartureTimes times) {
  co_await process.registrations.leave();
  if (times.delay > Duration::zero()) {
    process.readiness.begin_leaving();
    process.log.info("leaving: readiness says no, requests are still answered",
                     {{"signal", signal}, {"delay_s", to_seconds(times.delay)}});
    co_await sleep_for(times.delay);
  }
  process.log.info("draining", {{"signal", signal}, {"timeout_s", to_seconds(times.timeout)}});
  process.readiness.begin_drain();
  const Deadline deadline = Deadline::after(times.timeout);
  process.drain();
  while (process.busy() > 0 && !deadline.passed()) co_await sleep_for(std::chrono::milliseconds(20));
  if (const std::size_t left = process.busy(); left > 0) {
    process.log.warning("drain timeout: ending connections that are still busy", {{"connections", left}});
  } else {
    process.log.info("drained");
  }
}

}  // namespace autoglm::app
