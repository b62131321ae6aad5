#include "gateway/admission/rate/bucket.h"

namespace autoglm::gateway {
namespace {

// Far above every capacity (2^63 tokens of 2^55 parts), and low enough that one more charge does not
// overflow.
constexpr Wide kMostDebt = Wide{1} << 126U;

std::uint64_t parts(const RateSpec& spec) { return nanoseconds(spec.period); }

Wide capacity(const RateSpec& spec) { return Wide{spec.most_at_once()} * parts(spec); }

Wide capacity_with_queue(const RateSpec& spec) {
  return (Wide{spec.most_at_once()} + spec.queue) * parts(spec);
}

}  // namespace

void Bucket::advance(const RateSpec& spec, std::uint64_t nanoseconds) {
  const Wide drained = Wide{nanoseconds} * spec.amount;
  debt_ = debt_ > drained ? debt_ - drained : 0;
}

std::optional<Duration> Bucket::take(const RateSpec& spec, std::uint64_t amount) {
  const Wide after = debt_ + Wide{amount} * parts(spec);
  if (after > capacity_with_queue(spec)) return std::nullopt;
  charge(spec, amount);
  const Wide most = capacity(spec);
  return after <= most ? Duration::zero() : duration_of(divide_up(after - most, spec.amount));
}

Wide Bucket::room_in(const RateSpec& spec, std::uint64_t amount) const {
  const Wide after = debt_ + Wide{amount} * parts(spec), most = capacity_with_queue(spec);
  return after <= most ? 0 : divide_up(after - most, spec.amount);
}

void Bucket::give_back(const RateSpec& spec, Wide position, std::uint64_t amount, std::uint64_t unused) {
  const Wide newer = position_ - (position + amount);  // far too many where it is not of this bucket
  const bool others_wait =
      spec.algorithm == RateAlgorithm::kLeakyBucket && newer > 0 && debt_ > capacity(spec);
  if (others_wait) return;
  // After so many newer charges this one has drained.
  if (newer > std::numeric_limits<std::uint64_t>::max()) return;
  const Wide newer_debt = newer * parts(spec);
  if (debt_ > newer_debt) debt_ -= std::min(Wide{unused} * parts(spec), debt_ - newer_debt);
}

void Bucket::charge(const RateSpec& spec, std::uint64_t amount) {
  debt_ = std::min(debt_ + Wide{amount} * parts(spec), kMostDebt);
  position_ += amount;
}

void Bucket::change(const RateSpec& from, const RateSpec& to) {
  if (from.period == to.period) return;
  const Wide tokens = divide(debt_, parts(from)), rest = debt_ - tokens * parts(from);
  const Wide most = kMostDebt / parts(to) - 1;
  debt_ = std::min(tokens, most) * parts(to) + divide_up(rest * parts(to), parts(from));
}

std::uint64_t Bucket::used(const RateSpec& spec) const { return saturated(divide_up(debt_, parts(spec))); }

RateState Bucket::state(const RateSpec& spec) const {
  const Wide most = capacity_with_queue(spec);
  return {.limit = spec.most_at_once() + spec.queue,
          .remaining = most <= debt_ ? 0 : saturated(divide(most - debt_, parts(spec))),
          .reset = duration_of(divide_up(debt_, spec.amount))};
}

void Bucket::save(const RateSpec& spec, SavedRate& saved) const {
  const Wide tokens = divide(debt_, parts(spec));
  saved.used[0] = saturated(tokens);
  saved.used[1] = static_cast<std::uint64_t>(debt_ - tokens * parts(spec));
}

void Bucket::restore(const RateSpec& spec, const SavedRate& saved) {
  debt_ = Wide{saved.used[0]} * parts(spec) + saved.used[1];
}

}  // namespace autoglm::gateway
