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
/// that no request starves; among equal priorities the tenants take turns, by deficit round robin on tokens;
/// within a tenant the earliest due first. Pure; one thread.
class FairQueue {
 public:
  static constexpr std::uint8_t kMaxPriority = 9;
  static constexpr Duration kAging = std::chrono::seconds(10);
  static constexpr std::uint32_t kQuantum = 512;  ///< tokens that a tenant may take per turn

  void push(const QueueEntry& entry);
  /// Removes an entry that will not be served; false when it is not here.
  bool erase(SequenceKey key);
  /// The next entry that `ready` accepts, or null. Valid until the queue changes. A second call would give
  /// the same result.
  const QueueEntry* next(MonotonicTime now, const std::function<bool(const QueueEntry&)>& ready);
  /// Removes the entry that next() gave, and charges its tenant.
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
  using Ring = std::list<Tenant>;  // the tenant whose turn it is comes first
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
