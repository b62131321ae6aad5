#pragma once

#include "app/live_config.h"
#include "base/result.h"

#include <memory>

namespace autoglm::app {

/// The running process behind `serve`: loops, engines, listeners, and their end. Made and run by the main
/// thread.
class Server {
 public:
  /// Opens the ports and starts loading. Errors: what is wrong with an address, a model's name or the log.
  static Result<std::unique_ptr<Server>> create(LiveConfig config);
  ~Server();

  /// Serves until SIGTERM or SIGINT, then drains; a second signal ends at once. SIGHUP, and a change of the
  /// file, reads the configuration again: a valid one replaces the old, an invalid one changes nothing.
  /// Returns the exit code.
  int run();

 private:
  struct State;
  explicit Server(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace autoglm::app
