#pragma once

#include "runtime/event_loop.h"

#include <functional>
#include <memory>
#include <thread>
#include <vector>

namespace autoglm {

/// The process's workers: N threads with an EventLoop each. Created, started, stopped and joined
/// by one owning thread.
class WorkerPool {
 public:
  explicit WorkerPool(unsigned workers);
  ~WorkerPool();  ///< stops and joins
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  /// Starts the threads.
  void start();
  /// Stops the loops and joins the threads. Tasks must have been cancelled on their loops before.
  void stop();

  /// Runs `function(loop)` on every worker and waits for all of them: for set-up and tear-down.
  void on_each(const std::function<void(EventLoop&)>& function);

  std::size_t size() const { return loops_.size(); }
  EventLoop& loop(std::size_t i) { return *loops_[i]; }

 private:
  std::vector<std::unique_ptr<EventLoop>> loops_;
  std::vector<std::thread> threads_;
};

}  // namespace autoglm
