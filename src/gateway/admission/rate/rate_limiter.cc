#include "gateway/admission/rate/rate_limiter.h"

namespace autoglm::gateway {
namespace {

std::variant<Bucket, SlidingWindow> counting(const RateSpec& spec, MonotonicTime now) {
  // Later limiters start above all that earlier ones can reach: a limiter knows its reservations by that.
  const Wide start = Wide{nanoseconds(now.time_since_epoch())} << 64U;
  if (spec.algorithm == RateAlgorithm::kSlidingWindow) return SlidingWindow(start);
  return Bucket(start);
}

bool is_possible(const SavedRate& saved) {
  return saved.period >= RateSpec::kShortestPeriod && saved.period <= RateSpec::kLongestPeriod &&
         saved.into >= Duration::zero();
}

}  // namespace

RateLimiter::RateLimiter(const RateSpec& spec, MonotonicTime now)
    : spec_(&spec), at_(now), counting_(counting(spec, now)) {}

RateLimiter::RateLimiter(const RateSpec& spec, const SavedRate& saved, Duration elapsed, MonotonicTime now)
    : RateLimiter(spec, now) {
  if (!is_possible(saved)) return;
  const RateSpec then{.period = saved.period, .algorithm = saved.algorithm};
  spec_ = &then;
  counting_ = counting(then, now);
  std::visit([&](auto& it) { it.restore(then, saved); }, counting_);
  change(spec, now);
  if (elapsed > Duration::zero())
    std::visit([&](auto& it) { it.advance(spec, nanoseconds(elapsed)); }, counting_);
}

RateDecision RateLimiter::take(std::uint64_t amount, MonotonicTime now) {
  advance(now);
  RateDecision decision;
  if (amount > spec_->most_at_once()) {
    decision.verdict = Verdict::kNever;
  } else {
    std::visit(
        [&](auto& it) {
          const Wide position = it.position();
          if (const auto delay = it.take(*spec_, amount)) {
            decision.delay = from(now, nanoseconds(*delay));
            decision.reservation = {.position = position, .amount = amount};
          } else {
            decision.verdict = Verdict::kLater;
            decision.retry_after = from(now, it.room_in(*spec_, amount));
          }
        },
        counting_);
  }
  decision.state = state_from(now);
  return decision;
}

void RateLimiter::settle(const Reservation& reservation, std::uint64_t used, MonotonicTime now) {
  advance(now);
  std::visit(
      [&](auto& it) {
        if (used > reservation.amount) {
          it.charge(*spec_, used - reservation.amount);
        } else {
          it.give_back(*spec_, reservation.position, reservation.amount, reservation.amount - used);
        }
      },
      counting_);
}

RateState RateLimiter::state(MonotonicTime now) {
  advance(now);
  return state_from(now);
}

void RateLimiter::change(const RateSpec& spec, MonotonicTime now) {
  advance(now);
  if ((spec.algorithm == RateAlgorithm::kSlidingWindow) == std::holds_alternative<SlidingWindow>(counting_)) {
    std::visit([&](auto& it) { it.change(*spec_, spec); }, counting_);
  } else {
    const std::uint64_t used = std::visit([&](auto& it) { return it.used(*spec_); }, counting_);
    counting_ = counting(spec, now);
    std::visit([&](auto& it) { it.charge(spec, used); }, counting_);
  }
  spec_ = &spec;
}

bool RateLimiter::is_fresh(MonotonicTime now) {
  advance(now);
  return std::visit([](auto& it) { return it.is_unused(); }, counting_);
}

SavedRate RateLimiter::save(MonotonicTime now) {
  advance(now);
  SavedRate saved{.algorithm = spec_->algorithm, .period = spec_->period};
  std::visit([&](auto& it) { it.save(*spec_, saved); }, counting_);
  return saved;
}

void RateLimiter::advance(MonotonicTime now) {
  if (now > at_) {
    const std::uint64_t passed = nanoseconds_between(at_, now);
    std::visit([&](auto& it) { it.advance(*spec_, passed); }, counting_);
    at_ = now;
  } else if (nanoseconds_between(now, at_) > nanoseconds(kClockStep)) {
    at_ = now;
  }
}

RateState RateLimiter::state_from(MonotonicTime now) const {
  RateState state = std::visit([&](const auto& it) { return it.state(*spec_); }, counting_);
  state.reset = from(now, nanoseconds(state.reset));
  return state;
}

Duration RateLimiter::from(MonotonicTime now, Wide nanoseconds) const {
  if (nanoseconds == 0) return Duration::zero();
  return duration_of(nanoseconds + (now < at_ ? nanoseconds_between(now, at_) : 0));
}

}  // namespace autoglm::gateway
