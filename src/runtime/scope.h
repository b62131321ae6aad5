#pragma once

#include "runtime/signal.h"
#include "runtime/task.h"

#include <boost/intrusive/list.hpp>

#include <cstddef>

namespace autoglm {

/// Owns tasks that run beside their creator. Every spawned task belongs to a Scope and does not outlive it:
/// the destructor (and `cancel()`) destroys the tasks still running. Loop thread only, and not from inside
/// one of its own tasks. An exception that leaves a task ends only that task and is reported on stderr:
/// requests run in Scopes, and none may end the process that serves the others.
class Scope {
 public:
  Scope() = default;
  ~Scope() { cancel(); }
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;

  /// Runs `task` up to its first suspension, and from then on beside the caller.
  void spawn(Task<void> task);
  /// Destroys the tasks that have not ended.
  void cancel();
  /// Waits until every task has ended.
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
