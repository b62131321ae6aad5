#pragma once

#include "runtime/deadline.h"
#include "runtime/task.h"

#include <cstddef>
#include <memory>
#include <mutex>
#include <vector>

namespace autoglm {

/// A level that coroutines of all loops wait for: open or shut. Thread-safe; a waiter is resumed on its own
/// loop. Must outlive its waiters.
class Gate {
 public:
  void open();
  void shut();

  /// Waits until the gate is open. False: `deadline` passed first.
  Task<bool> wait(Deadline deadline);

  std::size_t waiting() const;

 private:
  struct Waiting;
  class Place;

  mutable std::mutex mutex_;
  bool open_ = false;
  std::vector<std::shared_ptr<Waiting>> waiting_;
};

}  // namespace autoglm
