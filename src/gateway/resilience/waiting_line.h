#pragma once

#include "base/result.h"
#include "runtime/deadline.h"
#include "runtime/event_loop.h"
#include "runtime/signal.h"
#include "runtime/task.h"

#include <atomic>
#include <cstddef>
#include <deque>
#include <memory>
#include <mutex>

namespace autoglm::gateway {

/// Those who wait until an endpoint has a place again, first come first served, at most so many. Shared by
/// all loops: whoever gives a place back wakes somebody, perhaps of another loop.
class WaitingLine {
  struct Waiting;

 public:
  explicit WaitingLine(std::size_t limit) : limit_(limit) {}

  /// A place in the line. Whoever has one looks once more whether it is needed, and then waits: a place that
  /// is given back in between is not missed. Dropped while it is being woken, it wakes the next one.
  class Ticket {
   public:
    Ticket(WaitingLine& line, std::shared_ptr<Waiting> waiting)
        : line_(&line), waiting_(std::move(waiting)) {}
    Ticket(Ticket&&) = default;
    Ticket& operator=(Ticket&&) = delete;
    ~Ticket();
    /// False: the deadline passed first.
    Task<bool> wait(Deadline deadline);

   private:
    WaitingLine* line_;
    std::shared_ptr<Waiting> waiting_;
    bool took_turn_ = false;
  };

  /// kUnavailable: the line is full. `again`: at its head, where it was before.
  Result<Ticket> join(bool again);
  void wake_one();
  void wake_all();
  std::size_t size() const { return size_.load(); }

 private:
  std::shared_ptr<Waiting> take_first();

  const std::size_t limit_;
  std::atomic<std::size_t> size_{0};
  std::mutex mutex_;
  std::deque<std::shared_ptr<Waiting>> waiting_;
};

}  // namespace autoglm::gateway
