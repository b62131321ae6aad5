#pragma once

#include "base/clock.h"
#include "cluster/health/health_config.h"

#include <atomic>
#include <cstdint>

namespace autoglm::cluster {

/// What came of a check: nobody there at all, somebody who is not well, or all is well.
enum class CheckResult : std::uint8_t { kAbsent, kUnwell, kWell };

/// What is believed of one endpoint: out, by its checks; ejected for a time, by requests that failed; or
/// coming back, with a growing share. Shared by all loops, lock-free; time is handed in. Who may be ejected
/// at all is for those to decide who see all endpoints.
class EndpointHealth {
 public:
  /// A share of one, in the unit of `ramp`.
  static constexpr std::uint64_t kWhole = 1000;

  /// A check's result; whether the belief has changed. Control loop only.
  bool checked(CheckResult result, const HealthConfig& config, MonotonicTime now);
  bool well() const { return well_.load(std::memory_order_relaxed); }
  /// Not even a connection could be made lately.
  bool absent() const { return absent_.load(std::memory_order_relaxed) && !well(); }

  /// A request went well.
  void succeeded() {
    if (in_a_row_.load(std::memory_order_relaxed) != 0) in_a_row_.store(0, std::memory_order_relaxed);
    if (in_window_.load(std::memory_order_relaxed) != 0) in_window_.store(0, std::memory_order_relaxed);
  }
  /// A request failed: for how long it has earned to be left out; zero: not yet.
  Duration failed(const EjectionConfig& config, const FailureLimit& limit, MonotonicTime now);
  /// Leaves it out until `now + time`. Afterwards it comes back slowly.
  void eject(Duration time, MonotonicTime now);
  bool ejected(MonotonicTime now) const { return now < ejected_until(); }
  MonotonicTime ejected_until() const { return at(ejected_until_); }
  /// How often in a row it was left out: each time for longer.
  std::uint32_t times_ejected() const { return times_ejected_.load(std::memory_order_relaxed); }

  /// Its share of what it would get otherwise, of `kWhole`.
  std::uint64_t ramp(Duration slow_start, MonotonicTime now) const {
    const Duration::rep back = back_since_.load(std::memory_order_relaxed);
    return back == 0 ? kWhole : ramp_from(MonotonicTime(Duration(back)), slow_start, now);
  }

 private:
  static MonotonicTime at(const std::atomic<Duration::rep>& time) {
    return MonotonicTime(Duration(time.load(std::memory_order_relaxed)));
  }
  static std::uint64_t ramp_from(MonotonicTime back, Duration slow_start, MonotonicTime now);

  std::atomic<bool> well_{true};
  std::atomic<bool> absent_{false};
  std::uint32_t contradictions_ = 0;         // checks in a row that say otherwise; control loop only
  std::atomic<std::uint32_t> in_a_row_{0};   // failures
  std::atomic<std::uint32_t> in_window_{0};  // failures since window_began_
  std::atomic<Duration::rep> window_began_{0};
  std::atomic<Duration::rep> ejected_until_{0};
  std::atomic<std::uint32_t> times_ejected_{0};
  std::atomic<Duration::rep> back_since_{0};  // 0: was never out
};

}  // namespace autoglm::cluster
