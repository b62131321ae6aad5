#pragma once

#include "runtime/signal.h"
#include "runtime/task.h"

#include <boost/intrusive/list.hpp>

#include <cstddef>

namespace autoglm {

/// Owns tasks that run beside their creator. Every spawned task belongs to one; none outlives it:
/// the destructor (and `cancel()`) destroys what still runs. Loop thread only, and not from inside
/// one of its own tasks. An exception that leaves a task ends that task alone, and is told on stderr:
/// requests run in here, and none may end what serves the others.
class Scope {
 public:
  Scope() = default;
  ~Scope() { cancel(); }
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;

  /// Runs `task` up to its first suspension, and then beside the caller.
  void spawn(Task<void> task);
  /// Destroys the tasks that have not ended.
  void cancel();
  /// Until every task has ended.
  Task<void> join();

  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

 private:
  struct Root;
  struct Node : boost::intrusive::list_base_hook<boost::intrusive::link_mode<boost::intrusive::auto_unlink>> {
    std::coroutine_handle<> handle;
  };
  static Root run(Scope& scope, Task<void> task);

  std::size_t size_ = 0;
  boost::intrusive::list<Node, boost::intrusive::constant_time_size<false>> nodes_;
  Signal empty_;
};

}  // namespace autoglm
