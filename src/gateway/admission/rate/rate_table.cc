#include "gateway/admission/rate/rate_table.h"

#include <bit>
#include <utility>
#include <vector>

namespace autoglm::gateway {
namespace {

// A stripe of so many subjects is never much fuller than the average one.
constexpr std::size_t kOfAStripe = 256;

std::size_t stripes_for(std::size_t subjects) {
  return std::bit_floor(std::clamp<std::size_t>(subjects / kOfAStripe, 1, Striped<int>::kMost));
}

// Twice as fast as new subjects come, so that the sweep catches up.
constexpr std::size_t kSweptWithEach = 2;
constexpr std::size_t kSweptWhenFull = 16;

}  // namespace

RateTable::RateTable(const RateSpec& spec, std::size_t subjects, MonotonicTime now)
    : used_(stripes_for(subjects)), most_((subjects + used_ - 1) / used_) {
  for (Stripe& stripe : stripes_) stripe.spec = std::make_unique<const RateSpec>(spec);
  overflow_.spec = std::make_unique<const RateSpec>(spec);
  overflow_.limiter.emplace(*overflow_.spec, now);
}

RateDecision RateTable::take(std::string_view subject, std::uint64_t amount, MonotonicTime now) {
  {
    Stripe& stripe = stripe_of(subject);
    const std::lock_guard lock(stripe.mutex);
    if (RateLimiter* limiter = limiter_of(stripe, subject, now)) return limiter->take(amount, now);
  }
  const std::lock_guard lock(overflow_.mutex);
  RateDecision decision = overflow_.limiter->take(amount, now);
  decision.reservation.shared = true;
  return decision;
}

void RateTable::settle(std::string_view subject, const Reservation& reservation, std::uint64_t used,
                       MonotonicTime now) {
  if (!reservation.shared) {
    Stripe& stripe = stripe_of(subject);
    const std::lock_guard lock(stripe.mutex);
    // Of a forgotten limiter everything has drained: there is only more to charge.
    const auto known = stripe.limiters.find(subject);
    if (known != stripe.limiters.end()) return known->second.settle(reservation, used, now);
    if (used <= reservation.amount) return;
    if (RateLimiter* limiter = limiter_of(stripe, subject, now))
      return limiter->settle(reservation, used, now);
  }
  const std::lock_guard lock(overflow_.mutex);
  overflow_.limiter->settle(reservation, used, now);
}

RateState RateTable::state(std::string_view subject, MonotonicTime now) {
  {
    Stripe& stripe = stripe_of(subject);
    const std::lock_guard lock(stripe.mutex);
    const auto known = stripe.limiters.find(subject);
    if (known != stripe.limiters.end()) return known->second.state(now);
    if (stripe.limiters.size() < most_) return RateLimiter(*stripe.spec, now).state(now);
  }
  const std::lock_guard lock(overflow_.mutex);
  return overflow_.limiter->state(now);
}

void RateTable::change(const RateSpec& spec, MonotonicTime now) {
  for (Stripe& stripe : stripes_) {
    auto next = std::make_unique<const RateSpec>(spec);
    const std::lock_guard lock(stripe.mutex);
    for (auto& [subject, limiter] : stripe.limiters) limiter.change(*next, now);
    stripe.spec = std::move(next);
  }
  auto next = std::make_unique<const RateSpec>(spec);
  const std::lock_guard lock(overflow_.mutex);
  overflow_.limiter->change(*next, now);
  overflow_.spec = std::move(next);
}

template <class Seen, class Read>
void RateTable::for_each(MonotonicTime now, const Read& read,
                         const std::function<void(const std::string&, const Seen&)>& see) {
  for (Stripe& stripe : stripes_) {
    std::vector<std::pair<std::string, Seen>> all;
    {
      const std::lock_guard lock(stripe.mutex);
      for (auto& [subject, limiter] : stripe.limiters)
        if (!limiter.is_fresh(now)) all.emplace_back(subject, read(limiter));
    }
    for (const auto& [subject, seen] : all) see(subject, seen);
  }
}

void RateTable::for_each_state(MonotonicTime now,
                               const std::function<void(const std::string&, const RateState&)>& see) {
  for_each<RateState>(now, [now](RateLimiter& limiter) { return limiter.state(now); }, see);
}

void RateTable::for_each_saved(MonotonicTime now,
                               const std::function<void(const std::string&, const SavedRate&)>& see) {
  for_each<SavedRate>(now, [now](RateLimiter& limiter) { return limiter.save(now); }, see);
}

bool RateTable::restore(std::string_view subject, const SavedRate& saved, Duration elapsed,
                        MonotonicTime now) {
  Stripe& stripe = stripe_of(subject);
  const std::lock_guard lock(stripe.mutex);
  RateLimiter* limiter = limiter_of(stripe, subject, now);
  if (limiter == nullptr) return false;
  *limiter = RateLimiter(*stripe.spec, saved, elapsed, now);
  return true;
}

std::size_t RateTable::size() {
  std::size_t size = 0;
  for (Stripe& stripe : stripes_) {
    const std::lock_guard lock(stripe.mutex);
    size += stripe.limiters.size();
  }
  return size;
}

RateLimiter* RateTable::limiter_of(Stripe& stripe, std::string_view subject, MonotonicTime now) {
  const auto known = stripe.limiters.find(subject);
  if (known != stripe.limiters.end()) return &known->second;
  sweep(stripe, stripe.limiters.size() < most_ ? kSweptWithEach : kSweptWhenFull, now);
  if (stripe.limiters.size() >= most_) return nullptr;
  const bool grows = stripe.limiters.size() + 1 > stripe.limiters.max_load();
  const auto made = stripe.limiters.try_emplace(std::string(subject), *stripe.spec, now).first;
  if (grows) stripe.swept = stripe.limiters.begin();
  return &made->second;
}

void RateTable::sweep(Stripe& stripe, std::size_t count, MonotonicTime now) {
  Limiters& limiters = stripe.limiters;
  for (count = std::min(count, limiters.size()); count > 0; --count) {
    if (stripe.swept == limiters.end()) stripe.swept = limiters.begin();
    const auto next = stripe.swept++;
    if (next->second.is_fresh(now)) limiters.erase(next);
  }
}

}  // namespace autoglm::gateway
