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

/// Those who wait until an endpoint has a place again, first come first served, at most so many. Shared by
/// all loops, and by all generations of a model's configuration: whoever gives a place back tells the first,
/// perhaps of another loop. Not everybody can take every place: who cannot passes it on to the next.
class WaitingLine {
  struct Waiting;

 public:
  explicit WaitingLine(std::size_t limit) : limit_(limit) {}

  void set_limit(std::size_t limit) { limit_.store(limit); }

  /// A place in the line, kept until it is dropped. Whoever has one looks once more whether it is needed,
  /// unless `must_wait`, and then waits: what is given back in between is not missed. Dropped with places
  /// that it was told of and has not taken, it passes those on. Belongs to the loop that made it.
  class Ticket {
   public:
    Ticket(WaitingLine& line, std::shared_ptr<Waiting> waiting)
        : line_(&line), waiting_(std::move(waiting)) {}
    Ticket(Ticket&&) = default;
    Ticket& operator=(Ticket&&) = delete;
    ~Ticket();
    /// Somebody before us is being told of a place, which may be passed on to us.
    bool must_wait() const;
    /// Until there may be a place, and nobody before us is being told of one. False: the deadline passed
    /// first.
    Task<bool> wait(Deadline deadline);
    /// The place that we were told of is ours.
    void took_it();
    /// We looked, and there was none for us.
    void wait_again();

   private:
    void pass_on(std::size_t places);

    WaitingLine* line_;
    std::shared_ptr<Waiting> waiting_;
    std::size_t looked_for_ = 0;  // places that we were told of before we looked
  };

  /// kUnavailable: the line is full. `number`, zero at first, is the turn that somebody has for good.
  Result<Ticket> join(std::uint64_t& number);
  /// Whether somebody is being told of a place: it is not for those who come now.
  bool telling() const { return telling_.load() > 0; }
  /// There is a place.
  void wake_one();
  /// Things have changed: everybody looks, in turn.
  void wake_all();
  std::size_t size() const { return size_.load(); }

 private:
  void tell_next(std::uint64_t behind);
  bool tells_before(std::uint64_t number) const;
  void let_look();
  static void wake(const std::shared_ptr<Waiting>& waiting);

  std::atomic<std::size_t> limit_;
  std::atomic<std::size_t> size_{0};
  std::atomic<std::size_t> telling_{0};  // places that somebody has been told of and has not answered for
  std::mutex mutex_;
  std::uint64_t last_number_ = 0;
  std::deque<std::shared_ptr<Waiting>> waiting_;  // by number
};

}  // namespace autoglm::gateway
