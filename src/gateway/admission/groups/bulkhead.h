#pragma once

#include "base/clock.h"
#include "base/result.h"
#include "gateway/admission/groups/bulkhead_config.h"
#include "gateway/admission/groups/departure_rate.h"
#include "gateway/admission/groups/fair_line.h"
#include "runtime/deadline.h"
#include "runtime/task.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <utility>

namespace autoglm::gateway {

/// A group's places, and the line of the requests that wait for one; without a limit there is always a place.
/// Shared by all loops; a waiter is woken
/// on its own. Thread-safe: each call holds a mutex for as long as the line's operation takes. Outlives its
/// places and waiters.
class Bulkhead {
  struct Waiting;
  class Stay;

 public:
  /// One of the group's places, until it is destroyed: the next request gets it then, perhaps on another
  /// loop. Movable; belongs to one thread at a time, any.
  class Place {
   public:
    Place(Place&& other) noexcept
        : group_(std::exchange(other.group_, nullptr)), waited_(other.waited_), running_(other.running_) {}
    Place& operator=(Place&& other) noexcept {
      const Place old(std::move(*this));
      group_ = std::exchange(other.group_, nullptr);
      waited_ = other.waited_;
      running_ = other.running_;
      return *this;
    }
    ~Place() {
      if (group_ != nullptr) group_->give_back(true);
    }

    Duration waited() const { return waited_; }
    /// Requests that had a place when this one got it, itself included.
    std::size_t running() const { return running_; }

   private:
    friend class Bulkhead;
    /// The caller holds the lock.
    Place(Bulkhead& group, Duration waited) : group_(&group), waited_(waited), running_(group.running_) {}

    Bulkhead* group_;
    Duration waited_;
    std::size_t running_;
  };

  /// `clock` outlives the bulkhead; it tells how long requests wait and how fast they leave.
  Bulkhead(const BulkheadKind& kind, BulkheadConfig config, const Clock& clock);
  Bulkhead(const Bulkhead&) = delete;
  Bulkhead& operator=(const Bulkhead&) = delete;

  /// Waits for a place, up to `deadline` and the queue's timeout. Destroying the task leaves the line, and
  /// passes on a place that was given already. Errors: kResourceExhausted, local, to be retried later, with
  /// one of these reasons:
  /// - group_full (as the kind says): the line is full, or a more important request has displaced this one;
  /// - group_timeout (likewise): there was no place in time;
  /// - deadline_too_near: by what is seen of the group, there will be none before `deadline`. It is refused
  ///   at once.
  Task<Result<Place>> enter(std::string tenant, std::uint8_t priority, std::uint64_t cost, Deadline deadline);

  /// Holds for the requests that wait, too. With more places waiters are admitted at once; with fewer those
  /// under way end as usual. A shorter queue sheds the least important waiters. The name stays.
  void change(const BulkheadConfig& config);
  /// The same for the number of places alone, by a little: what is known of its pace still holds.
  void resize(std::uint32_t concurrent);
  /// Admits all that wait and all that come, until `change`: the group is no longer configured.
  void lift();

  std::size_t running() const;
  std::size_t waiting() const;
  std::size_t limit() const;

 private:
  std::unique_lock<std::mutex> lock() const { return std::unique_lock(mutex_); }
  // The caller of these holds the lock:
  Result<std::shared_ptr<Waiting>> join(const std::string& tenant, std::uint8_t priority, std::uint64_t cost,
                                        Deadline deadline);
  void admit_waiters();
  void note_full();
  void shed(FairLine::Key key);
  bool is_full() const { return !lifted_ && config_.concurrent != 0 && running_ >= config_.concurrent; }
  Error refusal(const char* reason, std::string why) const;
  Error full() const;
  Error too_late() const;

  /// `departed`: a request has left; otherwise the place was never used.
  void give_back(bool departed);

  const BulkheadKind& kind_;
  const Clock& clock_;
  mutable std::mutex mutex_;
  BulkheadConfig config_;
  bool lifted_ = false;
  std::size_t running_ = 0;  // and places that were given to waiters
  FairLine line_;            // is empty unless the group is full
  std::unordered_map<FairLine::Key, std::shared_ptr<Waiting>> waiting_;
  DepartureRate rate_;
};

}  // namespace autoglm::gateway
