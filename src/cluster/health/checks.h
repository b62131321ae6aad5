#pragma once

#include "base/clock.h"
#include "base/result.h"
#include "runtime/task.h"

#include <string>

namespace autoglm::cluster {

/// How an endpoint of any kind is checked: a server is asked over the network, an engine in this process says
/// how it is. On the control loop.
class Checks {
 public:
  virtual ~Checks() = default;

  /// One check. Errors with the reason "connect_failed" say that nobody is there; errors of this process
  /// (Origin::kLocal) say nothing of the endpoint; others, that it is unwell. `path` is for servers.
  virtual Task<Result<void>> check(std::string path, Duration timeout) = 0;
  /// Brings what the endpoint's `load` and `prefixes` return up to date. Errors: it does not say.
  virtual Task<Result<void>> scrape_load(Duration timeout) = 0;
};

}  // namespace autoglm::cluster
