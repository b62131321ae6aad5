#include "engine/scheduler/fair_queue.h"

#include "base/assert.h"

#include <algorithm>

namespace autoglm::engine {

void FairQueue::push(const QueueEntry& entry) {
  AUTOGLM_ASSERT(entry.priority <= kMaxPriority, "priorities are 0 to 9");
  Ring& ring = rings_[entry.priority];
  auto tenant = std::ranges::find(ring, entry.tenant, &Tenant::id);
  if (tenant == ring.end()) tenant = ring.insert(ring.end(), Tenant{.id = entry.tenant});
  const Order order{entry.due, entry.order};
  const bool fresh = tenant->entries.emplace(order, entry).second;
  AUTOGLM_ASSERT(fresh, "two requests have one order of arrival");
  where_.emplace(entry.key, Place{entry.priority, entry.tenant, order});
}

bool FairQueue::erase(SequenceKey key) {
  const auto place = where_.find(key);
  if (place == where_.end()) return false;
  Ring& ring = rings_[place->second.priority];
  const auto tenant = std::ranges::find(ring, place->second.tenant, &Tenant::id);
  tenant->entries.erase(place->second.order);
  if (tenant->entries.empty()) ring.erase(tenant);  // its deficit is lost: absence earns no credit
  where_.erase(place);
  return true;
}

void FairQueue::take(SequenceKey key) {
  const Place& place = where_.at(key);
  const auto tenant = std::ranges::find(rings_[place.priority], place.tenant, &Tenant::id);
  const std::uint32_t cost = tenant->entries.at(place.order).cost;
  tenant->deficit -= std::min<std::uint64_t>(tenant->deficit, cost);
  erase(key);
}

const QueueEntry* FairQueue::next(MonotonicTime now, const std::function<bool(const QueueEntry&)>& ready) {
  Ring* best = nullptr;
  Duration::rep best_rank = -1;
  for (std::size_t priority = 0; priority < rings_.size(); ++priority) {
    for (const Tenant& tenant : rings_[priority]) {
      const auto first =
          std::ranges::find_if(tenant.entries, [&](const auto& entry) { return ready(entry.second); });
      if (first == tenant.entries.end()) continue;
      const auto rank = static_cast<Duration::rep>(priority) + (now - first->second.arrived) / kAging;
      if (rank >= best_rank) {
        best_rank = rank;
        best = &rings_[priority];
      }
    }
  }
  return best == nullptr ? nullptr : next_in(*best, ready);
}

const QueueEntry* FairQueue::next_in(Ring& ring, const std::function<bool(const QueueEntry&)>& ready) {
  while (true) {
    Tenant& tenant = ring.front();
    const auto first =
        std::ranges::find_if(tenant.entries, [&](const auto& entry) { return ready(entry.second); });
    if (first != tenant.entries.end()) {
      if (tenant.deficit >= first->second.cost) return &first->second;
      tenant.deficit += kQuantum;
    }
    ring.splice(ring.end(), ring, ring.begin());
  }
}

}  // namespace autoglm::engine
