#include "engine/recent_prefixes.h"

namespace autoglm::engine {

void RecentPrefixes::add(std::span<const std::uint64_t> landmarks) {
  for (const std::uint64_t landmark : landmarks) {
    const auto [entry, added] = where_.try_emplace(landmark);
    if (added) {
      entry->second = uses_.insert(uses_.begin(), landmark);
      changed_ = true;
    } else {
      uses_.splice(uses_.begin(), uses_, entry->second);
    }
  }
  for (; uses_.size() > kKept; uses_.pop_back()) where_.erase(uses_.back());
}

void RecentPrefixes::publish(bool idle, MonotonicTime now) {
  if (!changed_ || (!idle && now - published_ < kEvery)) return;
  changed_ = false;
  published_ = now;
  snapshot_.set(std::make_shared<const PrefixSet>(uses_.begin(), uses_.end()));
}

}  // namespace autoglm::engine
