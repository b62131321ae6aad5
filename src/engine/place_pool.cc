#include "engine/place_pool.h"

namespace autoglm::engine {

template <class Count>
bool PlacePool::take(const PlaceOwner& owner, Count Held::* what, Count count) {
  const auto found = groups_.find(owner.group);
  const Count own = found == groups_.end() ? Count{0} : found->second.*what;
  const auto guaranteed = static_cast<Count>(owner.share * static_cast<double>(most_.*what));
  if (all_.*what + count > most_.*what && own + count > guaranteed) return false;
  all_.*what += count;
  if (!owner.group.empty()) groups_[owner.group].*what += count;
  places_.store(all_.places, std::memory_order_relaxed);
  return true;
}

bool PlacePool::take_places(const PlaceOwner& owner, std::uint32_t count) {
  const std::lock_guard lock(mutex_);
  return take(owner, &Held::places, count);
}

bool PlacePool::take_bytes(const PlaceOwner& owner, std::size_t bytes) {
  const std::lock_guard lock(mutex_);
  return take(owner, &Held::bytes, bytes);
}

void PlacePool::give_back(const std::string& group, std::uint32_t places, std::size_t bytes) {
  const std::lock_guard lock(mutex_);
  all_.places -= places;
  all_.bytes -= bytes;
  places_.store(all_.places, std::memory_order_relaxed);
  const auto found = groups_.find(group);
  if (found == groups_.end()) return;
  found->second.places -= places;
  found->second.bytes -= bytes;
  if (found->second.places == 0 && found->second.bytes == 0) groups_.erase(found);
}

std::size_t PlacePool::bytes() const {
  const std::lock_guard lock(mutex_);
  return all_.bytes;
}

}  // namespace autoglm::engine
