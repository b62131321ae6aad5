#include "gateway/admission/rate/concurrency.h"

#include <algorithm>
#include <vector>

namespace autoglm::gateway {

ConcurrencyTable::Answer ConcurrencyTable::acquire(std::string_view subject, std::uint64_t amount) {
  Answer answer{.limit = most()};
  Stripe& stripe = stripes_.of(subject);
  const std::lock_guard lock(stripe.mutex);
  auto entry = stripe.held.find(subject);
  const std::uint64_t held = entry == stripe.held.end() ? 0 : entry->second;
  answer.remaining = answer.limit - std::min(held, answer.limit);
  if (amount == 0) return answer;
  if (amount > answer.remaining) {
    answer.verdict = amount > answer.limit ? Verdict::kNever : Verdict::kLater;
    return answer;
  }
  if (entry == stripe.held.end()) entry = stripe.held.try_emplace(std::string(subject), 0).first;
  entry->second += amount;
  answer.remaining -= amount;
  answer.held = Held(*this, *entry, amount);
  return answer;
}

void ConcurrencyTable::release(Entry& entry, std::uint64_t amount) {
  Stripe& stripe = stripes_.of(entry.first);
  const std::lock_guard lock(stripe.mutex);
  entry.second -= amount;
  if (entry.second == 0) stripe.held.erase(stripe.held.find(entry.first));
}

std::uint64_t ConcurrencyTable::held(std::string_view subject) {
  Stripe& stripe = stripes_.of(subject);
  const std::lock_guard lock(stripe.mutex);
  const auto entry = stripe.held.find(subject);
  return entry == stripe.held.end() ? 0 : entry->second;
}

void ConcurrencyTable::for_each_held(const std::function<void(const std::string&, std::uint64_t)>& see) {
  for (Stripe& stripe : stripes_) {
    std::vector<std::pair<std::string, std::uint64_t>> all;
    {
      const std::lock_guard lock(stripe.mutex);
      all.assign(stripe.held.begin(), stripe.held.end());
    }
    for (const auto& [subject, held] : all) see(subject, held);
  }
}

std::size_t ConcurrencyTable::size() {
  std::size_t size = 0;
  for (Stripe& stripe : stripes_) {
    const std::lock_guard lock(stripe.mutex);
    size += stripe.held.size();
  }
  return size;
}

}  // namespace autoglm::gateway
