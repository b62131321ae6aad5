#pragma once

#include "runtime/event_loop.h"

#include <functional>
#include <initializer_list>
#include <memory>

namespace autoglm {

/// Calls back on `loop` for each delivery of the given signals (SIGTERM, …). Loop thread only.
class OsSignals {
 public:
  OsSignals(EventLoop& loop, std::initializer_list<int> signals, std::function<void(int)> on_signal);
  ~OsSignals();

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace autoglm
