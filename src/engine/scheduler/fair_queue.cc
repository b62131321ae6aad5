#include "engine/scheduler/fair_queue.h"

#include "base/assert.h"

#include <algorithm>
#include <utility>

namespace autoglm::engine {

void FairQueue::push(const QueueEntry& entry) {
  AUTOGLM_ASSERT(entry.priority <= kMaxPriority, "priorities are 0 to 9");
  Ring& ring = rings_[entry.priority];
  auto tenant = std::ranges::find(ring.tenants, entry.tenant, &Tenant::id);
  // Absence earns no credit.
  if (tenant == ring.tenants.end())
    tenant = ring.tenants.insert(ring.tenants.end(), Tenant{.id = entry.tenant, .time = ring.clock});
  const Order order{entry.due, entry.order};
  const bool fresh = tenant->entries.emplace(order, entry).second;
  AUTOGLM_ASSERT(fresh, "two requests have one order of arrival");
  ++ring.waiting;
  where_.emplace(entry.key, Place{entry.priority, entry.tenant, order});
}

bool FairQueue::erase(SequenceKey key) {
  const auto place = where_.find(key);
  if (place == where_.end()) return false;
  Ring& ring = rings_[place->second.priority];
  std::ranges::find(ring.tenants, place->second.tenant, &Tenant::id)->entries.erase(place->second.order);
  --ring.waiting;
  where_.erase(place);
  sweep(ring);
  return true;
}

std::uint64_t FairQueue::take(SequenceKey key) {
  const Place& place = where_.at(key);
  Ring& ring = rings_[place.priority];
  Tenant& tenant = *std::ranges::find(ring.tenants, place.tenant, &Tenant::id);
  ring.clock = std::max(ring.clock, tenant.time);
  tenant.time += tenant.entries.at(place.order).cost;
  tenant.turn = ++turns_;
  const std::uint64_t era = ring.era;
  erase(key);
  return era;
}

void FairQueue::settle(std::uint8_t priority, std::uint64_t tenant, std::uint64_t era, std::int64_t tokens) {
  Ring& ring = rings_[priority];
  if (era != ring.era) return;
  const auto found = std::ranges::find(ring.tenants, tenant, &Tenant::id);
  if (found == ring.tenants.end()) return;
  // Absence before a charge is given back earns no credit, either.
  found->time = std::max(found->time + tokens, std::min(found->time, ring.clock));
  sweep(ring);
}

/// Forgets the tenants that would begin where new ones do, and those ahead beyond a number.
void FairQueue::sweep(Ring& ring) {
  if (ring.waiting == 0) {
    ring.tenants.clear();
    ring.clock = 0;
    ++ring.era;
    return;
  }
  std::size_t idle = 0;
  std::erase_if(ring.tenants, [&](const Tenant& tenant) {
    return tenant.entries.empty() && (tenant.time <= ring.clock || ++idle > kMostIdle);
  });
}

const QueueEntry* FairQueue::next(MonotonicTime now, const std::function<bool(const QueueEntry&)>& ready) {
  const Ring* best = nullptr;
  Duration::rep best_rank = -1;
  for (std::size_t priority = 0; priority < rings_.size(); ++priority) {
    for (const Tenant& tenant : rings_[priority].tenants) {
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

const QueueEntry* FairQueue::next_in(const Ring& ring, const std::function<bool(const QueueEntry&)>& ready) {
  const QueueEntry* next = nullptr;
  std::pair<std::int64_t, std::uint64_t> next_turn;
  for (const Tenant& tenant : ring.tenants) {
    const std::pair turn(tenant.time, tenant.turn);
    if (next != nullptr && turn >= next_turn) continue;
    const auto first =
        std::ranges::find_if(tenant.entries, [&](const auto& entry) { return ready(entry.second); });
    if (first == tenant.entries.end()) continue;
    next = &first->second;
    next_turn = turn;
  }
  return next;
}

}  // namespace autoglm::engine
