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

/// What a waiting request is judged by.
struct QueueEntry {
  SequenceKey key;
  std::uint8_t priority = 0;  ///< 0 … 9, 9 first
  std::uint64_t tenant = 0;
  std::uint32_t cost = 1;   ///< tokens that it will take
  std::uint64_t order = 0;  ///< of arrival; a request that comes back keeps its own
  MonotonicTime arrived;
  MonotonicTime due;  ///< within a tenant the earliest goes first
};

/// Who is next: the highest priority, which rises by one for each ten seconds of waiting, so that nobody
/// starves; among equals each tenant in turn, by deficit round robin on tokens; within a tenant whoever is
/// due first. Pure; one thread.
class FairQueue {
 public:
  static constexpr std::uint8_t kMaxPriority = 9;
  static constexpr Duration kAging = std::chrono::seconds(10);
  static constexpr std::uint32_t kQuantum = 512;  ///< tokens a tenant may take a turn

  void push(const QueueEntry& entry);
  /// Removes an entry that will not be served; false when it is not here.
  bool erase(SequenceKey key);
  /// The next of those that `ready` accepts, or null. Valid until the queue changes. Asking changes nothing
  /// that a second call would show.
  const QueueEntry* next(MonotonicTime now, const std::function<bool(const QueueEntry&)>& ready);
  /// Removes the entry that next() gave, at its tenant's expense.
  void take(SequenceKey key);

  std::size_t size() const { return where_.size(); }
  bool empty() const { return where_.empty(); }

 private:
  using Order = std::pair<MonotonicTime, std::uint64_t>;
  struct Tenant {
    std::uint64_t id = 0;
    std::uint64_t deficit = 0;
    std::map<Order, QueueEntry> entries;
  };
  using Ring = std::list<Tenant>;  // whose turn it is stands in front
  struct Place {
    std::uint8_t priority;
    std::uint64_t tenant;
    Order order;
  };

  const QueueEntry* next_in(Ring& ring, const std::function<bool(const QueueEntry&)>& ready);

  std::array<Ring, kMaxPriority + 1> rings_;
  std::unordered_map<SequenceKey, Place> where_;
};

}  // namespace autoglm::engine
