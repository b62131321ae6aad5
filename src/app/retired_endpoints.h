#pragma once

#include "inference/endpoint.h"
#include "runtime/blocking_pool.h"

#include <memory>
#include <optional>
#include <vector>

namespace autoglm::app {

/// Engines that no configuration names any more, until the last request has released them. They are destroyed
/// on a thread of this class: an engine joins its own threads, or ends its process, which takes as long as a
/// step or the loading of a model, and the control loop must answer health, metrics and reloads meanwhile.
/// Main thread.
class RetiredEndpoints {
 public:
  void add(std::shared_ptr<Endpoint> endpoint) { in_use_.push_back(std::move(endpoint)); }
  /// Destroys the engines that no request uses.
  void sweep();
  /// Destroys all of them, and waits for that. Nothing may be added afterwards.
  void finish();

 private:
  std::vector<std::shared_ptr<Endpoint>> in_use_;
  std::optional<BlockingPool> undertaker_{std::in_place, 1U, 1024U};
};

}  // namespace autoglm::app
