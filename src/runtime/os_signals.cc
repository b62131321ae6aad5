#include "runtime/os_signals.h"

#include "runtime/event_loop_core.h"

#include <boost/asio/signal_set.hpp>

#include <utility>

namespace autoglm {

struct OsSignals::State : std::enable_shared_from_this<OsSignals::State> {
  State(EventLoop& loop, std::function<void(int)> callback)
      : signals(loop.core().context), on_signal(std::move(callback)) {}

  void wait() {
    signals.async_wait([self = shared_from_this()](const boost::system::error_code& error, int number) {
      if (error || self->stopped) return;
      self->wait();
      self->on_signal(number);
    });
  }

  boost::asio::signal_set signals;
  std::function<void(int)> on_signal;
  bool stopped = false;
};

OsSignals::OsSignals(EventLoop& loop, std::initializer_list<int> signals, std::function<void(int)> on_signal)
    : state_(std::make_shared<State>(loop, std::move(on_signal))) {
  for (const int number : signals) state_->signals.add(number);
  state_->wait();
}

OsSignals::~OsSignals() {
  state_->stopped = true;
  state_->signals.cancel();
}

}  // namespace autoglm
