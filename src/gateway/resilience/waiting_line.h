#pragma once

#include "base/result.h"
#include "runtime/deadline.h"
#include "runtime/event_loop.h"
#include "runtime/signal.h"
#include "runtime/task.h"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>

namespace autoglm::gateway {

/// The requests that wait for a place at an endpoint, first come first served, up to a limit. Shared by all
/// loops, and by all generations of a model's configuration. A place that is given back is offered to the
/// first waiter, perhaps on another loop; a waiter that cannot use the place passes it on to the next.
class WaitingLine {
  struct Waiting;

 public:
  explicit WaitingLine(std::size_t limit) : limit_(limit) {}

  void set_limit(std::size_t limit) { limit_.store(limit); }

  /// A request's position in the line, until the ticket is destroyed. Having joined, look for a free place
  /// once more (unless `must_wait`) and then `wait`: a place that is given back in between is not missed. The
  /// destructor passes on the places that were offered and not taken. Belongs to the loop that made it.
  class Ticket {
   public:
    Ticket(WaitingLine& line, std::shared_ptr<Waiting> waiting)
        : line_(&line), waiting_(std::move(waiting)) {}
    Ticket(Ticket&&) = default;
    Ticket& operator=(Ticket&&) = delete;
    ~Ticket();
    /// A waiter ahead has an open offer of a place, which may be passed on to this one.
    bool must_wait() const;
    /// Waits until a place is offered, or one may be free and no waiter ahead has an open offer. False: the
    /// deadline passed first.
    Task<bool> wait(Deadline deadline);
    /// An offered place was taken.
    void took_it();
    /// There was no place to use: passes on those that were offered before this look.
    void wait_again();

   private:
    void pass_on(std::size_t places);

    WaitingLine* line_;
    std::shared_ptr<Waiting> waiting_;
    std::size_t looked_for_ = 0;  // places offered before the last look
  };

  /// Errors: kUnavailable, the line is full. `number` is the request's turn: zero at first, then kept, so
  /// that a request which joins again has its old turn.
  Result<Ticket> join(std::uint64_t& number);
  /// Whether an offer is open: that place is not for requests that come now.
  bool telling() const { return telling_.load() > 0; }
  /// A place was given back: offers it to the first waiter.
  void wake_one();
  /// The endpoints have changed: every waiter looks, in turn.
  void wake_all();
  std::size_t size() const { return size_.load(); }

 private:
  void tell_next(std::uint64_t behind);
  bool tells_before(std::uint64_t number) const;
  void let_look();
  static void wake(const std::shared_ptr<Waiting>& waiting);

  std::atomic<std::size_t> limit_;
  std::atomic<std::size_t> size_{0};
  std::atomic<std::size_t> telling_{0};  // places offered, and neither taken nor passed on yet
  std::mutex mutex_;
  std::uint64_t last_number_ = 0;
  std::deque<std::shared_ptr<Waiting>> waiting_;  // by number
};

}  // namespace autoglm::gateway
