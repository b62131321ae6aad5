#pragma once

#include "base/clock.h"
#include "base/strong_id.h"

#include <array>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <unordered_map>

namespace autoglm::engine {

using SequenceKey = StrongId<struct SequenceKeyTag>;

/// The properties by which a waiting request is ordered.
struct QueueEntry {
  SequenceKey key;
  std::uint8_t priority = 0;  ///< 0 … 9, 9 first
  std::uint64_t tenant = 0;
  std::uint32_t cost = 1;   ///< tokens that the request will take
  std::uint64_t order = 0;  ///< of arrival; a request that returns keeps its number
  MonotonicTime arrived;
  MonotonicTime due;  ///< within a tenant the earliest goes first
};

/// Chooses the next request: by the highest priority, which rises by one for each ten seconds of waiting, so
/// that no request starves; among equal priorities the tenants take turns, by start-time fair queueing on
/// tokens; within a tenant the earliest due first. Pure; one thread.
class FairQueue {
 public:
  static constexpr std::uint8_t kMaxPriority = 9;
  static constexpr Duration kAging = std::chrono::seconds(10);
  /// Tenants of a priority that are remembered for what they had, without a request of theirs waiting.
  static constexpr std::size_t kMostIdle = 256;

  void push(const QueueEntry& entry);
  /// Removes an entry that will not be served; false when it is not here.
  bool erase(SequenceKey key);
  /// The next entry that `ready` accepts, or null. Valid until the queue changes. A second call would give
  /// the same result.
  const QueueEntry* next(MonotonicTime now, const std::function<bool(const QueueEntry&)>& ready);
  /// Removes the entry that next() gave, and charges its tenant. Returns the charge's era.
  std::uint64_t take(SequenceKey key);
  /// A request that was taken has needed so many tokens more than its cost, or fewer. A charge of an earlier
  /// era is forgotten already, and what it was too much is no credit.
  void settle(std::uint8_t priority, std::uint64_t tenant, std::uint64_t era, std::int64_t tokens);

  std::size_t size() const { return where_.size(); }
  bool empty() const { return where_.empty(); }
  std::size_t tenants() const {
    std::size_t count = 0;
    for (const Ring& ring : rings_) count += ring.tenants.size();
    return count;
  }

 private:
  using Order = std::pair<MonotonicTime, std::uint64_t>;
  struct Tenant {
    std::uint64_t id = 0;
    std::int64_t time = 0;   // tokens that it had; the least goes next
    std::uint64_t turn = 0;  // the number of its latest turn
    std::map<Order, QueueEntry> entries;
  };
  struct Ring {
    std::list<Tenant> tenants;  // those that wait, and those that are ahead of the clock
    std::int64_t clock = 0;     // the time of the tenant that was served last, when it was
    std::size_t waiting = 0;
    std::uint64_t era = 0;  // how often it has become empty, and forgotten all
  };
  struct Place {
    std::uint8_t priority;
    std::uint64_t tenant;
    Order order;
  };

  static const QueueEntry* next_in(const Ring& ring, const std::function<bool(const QueueEntry&)>& ready);
  static void sweep(Ring& ring);

  std::array<Ring, kMaxPriority + 1> rings_;
  std::uint64_t turns_ = 0;
  std::unordered_map<SequenceKey, Place> where_;
};

}  // namespace autoglm::engine
