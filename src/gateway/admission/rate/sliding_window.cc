#include "gateway/admission/rate/sliding_window.h"

#include <numeric>

namespace autoglm::gateway {
namespace {

std::uint64_t width(const RateSpec& spec) {
  return (nanoseconds(spec.period) + SlidingWindow::kSpan - 1) / SlidingWindow::kSpan;
}

void add(std::uint64_t& count, std::uint64_t amount) { count = saturated(Wide{count} + amount); }

}  // namespace

void SlidingWindow::advance(const RateSpec& spec, std::uint64_t nanoseconds) {
  now_ += nanoseconds;
  const std::uint64_t room = width(spec) - slots_->into;
  if (nanoseconds < room) {
    slots_->into += nanoseconds;
    return;
  }
  const std::uint64_t since = nanoseconds - room;
  const std::uint64_t steps = std::min(1 + since / width(spec), kSpan + 1);
  slots_->into = since % width(spec);
  for (std::uint64_t step = 0; step < steps; ++step) {
    ++slots_->head;
    count(0) = 0;
  }
}

std::optional<Duration> SlidingWindow::take(const RateSpec& spec, std::uint64_t amount) {
  if (sum() + amount > spec.amount) return std::nullopt;
  charge(spec, amount);
  return Duration::zero();
}

Wide SlidingWindow::room_in(const RateSpec& spec, std::uint64_t amount) const {
  Wide left = sum() + amount;
  if (left <= spec.amount) return 0;
  std::uint64_t back = kSpan;
  while (back > 0 && (left -= count(back)) > spec.amount) --back;
  return leaves_in(spec, back);
}

void SlidingWindow::give_back(const RateSpec& spec, Wide position, std::uint64_t /*amount*/,
                              std::uint64_t unused) {
  const std::uint64_t age = saturated(now_ - position);  // far too old where it is not of this window
  const std::uint64_t into = slots_->into;
  const std::uint64_t back = age <= into ? 0 : 1 + (age - into - 1) / width(spec);
  if (back > kSpan) return;
  count(back) -= std::min(count(back), unused);
}

void SlidingWindow::charge(const RateSpec& /*spec*/, std::uint64_t amount) { add(count(0), amount); }

void SlidingWindow::change(const RateSpec& from, const RateSpec& to) {
  if (from.period == to.period) return;
  auto next = std::make_unique<Slots>();
  for (std::uint64_t back = 0; back <= kSpan; ++back) {
    const std::uint64_t age = back == 0 ? 0 : slots_->into + (back - 1) * width(from);  // of its last moment
    const std::uint64_t place = age == 0 ? 0 : 1 + (age - 1) / width(to);
    if (place <= kSpan) add(next->counts[(kSpan + 1 - place) % (kSpan + 1)], count(back));
  }
  slots_ = std::move(next);
}

Wide SlidingWindow::sum() const {
  return std::accumulate(slots_->counts.begin(), slots_->counts.end(), Wide{0});
}

std::uint64_t SlidingWindow::used(const RateSpec& /*spec*/) const { return saturated(sum()); }

RateState SlidingWindow::state(const RateSpec& spec) const {
  const Wide taken = sum();
  std::uint64_t newest = 0;
  while (newest <= kSpan && count(newest) == 0) ++newest;
  return {.limit = spec.amount,
          .remaining = taken >= spec.amount ? 0 : spec.amount - static_cast<std::uint64_t>(taken),
          .reset = newest > kSpan ? Duration::zero() : duration_of(leaves_in(spec, newest))};
}

void SlidingWindow::save(const RateSpec& /*spec*/, SavedRate& saved) const {
  for (std::uint64_t back = 0; back <= kSpan; ++back) saved.used[back] = count(back);
  saved.into = duration_of(slots_->into);
}

void SlidingWindow::restore(const RateSpec& spec, const SavedRate& saved) {
  for (std::uint64_t back = 0; back <= kSpan; ++back) count(back) = saved.used[back];
  slots_->into = std::min(nanoseconds(saved.into), width(spec) - 1);
}

std::uint64_t SlidingWindow::leaves_in(const RateSpec& spec, std::uint64_t back) const {
  return (kSpan + 1 - back) * width(spec) - slots_->into;
}

}  // namespace autoglm::gateway
