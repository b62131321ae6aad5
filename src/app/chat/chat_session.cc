#include "app/chat/chat_session.h"

#include "runtime/os_signals.h"
#include "runtime/race.h"
#include "runtime/signal.h"

#include <csignal>

namespace autoglm::app {

namespace {

Task<int> next_signal() {
  int number = 0;
  Signal came;
  const OsSignals signals(EventLoop::current(), {SIGINT, SIGTERM, SIGHUP}, [&](int which) {
    number = which;
    came.set();
  });
  co_await came.wait();
  co_return number;
}

}  // namespace

std::variant<Result<void>, ChatSession::Stopped> ChatSession::run_until_signal(Task<Result<void>> task) {
  using Outcome = std::variant<Result<void>, Stopped>;
  return run([](Task<Result<void>> asking) -> Task<Outcome> {
    // The signals first: an early one must not meet the default handler.
    auto first = co_await first_of(next_signal(), std::move(asking));
    if (auto* number = std::get_if<0>(&first)) co_return Outcome(std::in_place_index<1>, *number);
    co_return Outcome(std::in_place_index<0>, std::move(std::get<1>(first)));
  }(std::move(task)));
}

}  // namespace autoglm::app
