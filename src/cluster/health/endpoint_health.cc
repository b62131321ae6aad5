#include "cluster/health/endpoint_health.h"

#include <algorithm>

namespace autoglm::cluster {

namespace {
constexpr std::uint64_t kLeast = EndpointHealth::kWhole / 10;
}

bool EndpointHealth::checked(CheckResult result, const HealthConfig& config, MonotonicTime now) {
  const bool well = result == CheckResult::kWell;
  absent_.store(result == CheckResult::kAbsent, std::memory_order_relaxed);
  successes_ = well ? successes_ + 1 : 0;
  missed_ |= !well;
  came_back_ = false;
  if (well && successes_ >= config.healthy_after) {
    came_back_ = nobody_there_.exchange(false) || missed_;
    missed_ = false;
  }
  bool returned = false;
  if (came_back_ && ejected(now)) {
    // The reason for the ejection is over, and waiting longer would only burden the other endpoints.
    back_since_.store(now.time_since_epoch().count(), std::memory_order_relaxed);
    in_a_row_.store(0, std::memory_order_relaxed);
    ejected_until_.store(0, std::memory_order_relaxed);
    returned = well_.load(std::memory_order_relaxed);
  }
  const bool believed = well_.load(std::memory_order_relaxed);
  contradictions_ = well == believed ? 0 : contradictions_ + 1;
  if (contradictions_ < (believed ? config.unhealthy_after : config.healthy_after)) return returned;
  contradictions_ = 0;
  if (well) {
    back_since_.store(now.time_since_epoch().count(), std::memory_order_relaxed);
    // A check that succeeds speaks for an endpoint that was restarted: it starts afresh.
    in_a_row_.store(0, std::memory_order_relaxed);
    ejected_until_.store(0, std::memory_order_relaxed);
  }
  well_.store(well, std::memory_order_relaxed);
  return true;
}

Duration EndpointHealth::failed(const EjectionConfig& config, const FailureLimit& limit, MonotonicTime now,
                                Failures ended) {
  if (ejected(now)) return Duration::zero();  // the request began before the ejection
  Duration time = Duration::zero();
  const std::uint32_t added = 1 + ended.in_a_row;
  const std::uint32_t in_a_row = in_a_row_.fetch_add(added, std::memory_order_relaxed) + added;
  if (config.consecutive_failures != 0 && in_a_row >= config.consecutive_failures) {
    // An endpoint that has been well for long starts with the shortest time again.
    if (now - ejected_until() > config.max_time) times_ejected_.store(0, std::memory_order_relaxed);
    const Duration::rep times = Duration::rep{times_ejected()} + 1;
    time = times > config.max_time / config.base_time ? config.max_time : config.base_time * times;
  }
  if (limit.max_fails != 0) {
    if (now - at(window_began_) > limit.window) {
      window_began_.store(now.time_since_epoch().count(), std::memory_order_relaxed);
      in_window_.store(0, std::memory_order_relaxed);
      ended.in_window = 0;
    }
    const std::uint32_t more = 1 + ended.in_window;
    if (in_window_.fetch_add(more, std::memory_order_relaxed) + more >= limit.max_fails)
      time = std::max(time, limit.window);
  }
  return time;
}

void EndpointHealth::eject(Duration time, MonotonicTime now) {
  times_ejected_.fetch_add(1, std::memory_order_relaxed);
  in_a_row_.store(0, std::memory_order_relaxed);
  in_window_.store(0, std::memory_order_relaxed);
  back_since_.store((now + time).time_since_epoch().count(), std::memory_order_relaxed);
  ejected_until_.store((now + time).time_since_epoch().count(), std::memory_order_relaxed);
}

void EndpointHealth::returned(MonotonicTime now) {
  const Duration::rep back = std::max(now, ejected_until()).time_since_epoch().count();
  back_since_.store(back, std::memory_order_relaxed);
}

std::uint64_t EndpointHealth::ramp_from(MonotonicTime back, Duration slow_start, MonotonicTime now) {
  const Duration age = now - back;
  if (age >= slow_start) return kWhole;
  if (age <= Duration::zero()) return kLeast;
  return std::max(kLeast, kWhole * static_cast<std::uint64_t>(age.count()) /
                              static_cast<std::uint64_t>(slow_start.count()));
}

}  // namespace autoglm::cluster
