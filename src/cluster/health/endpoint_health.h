#pragma once

#include "base/clock.h"
#include "cluster/health/health_config.h"

#include <atomic>
#include <cstdint>

namespace autoglm::cluster {

/// A check's result: no connection could be made, the check failed otherwise, or it succeeded.
enum class CheckResult : std::uint8_t { kAbsent, kUnwell, kWell };

/// What is believed of one endpoint: out, by its checks; ejected for a time, by requests that failed; or
/// coming back, with a growing share. Shared by all loops, lock-free; takes the time as an argument. How many
/// endpoints may be ejected is decided by the caller, which sees all of them.
class EndpointHealth {
 public:
  /// A share of one, in the unit of `ramp`.
  static constexpr std::uint64_t kWhole = 1000;

  /// Takes a check's result; returns whether the belief has changed. Control loop only.
  bool checked(CheckResult result, const HealthConfig& config, MonotonicTime now);
  /// Whether the last check showed that the endpoint is back, after checks failed or a request could not
  /// connect. That ends an ejection, too. Control loop only.
  bool came_back() const { return came_back_; }
  bool well() const { return well_.load(std::memory_order_relaxed); }
  /// Not even a connection could be made lately.
  bool absent() const { return absent_.load(std::memory_order_relaxed) && !well(); }

  /// Failures so far, in a row and within the limit's window.
  struct Failures {
    std::uint32_t in_a_row = 0;
    std::uint32_t in_window = 0;
  };
  /// A request seems to have succeeded; returns the failures that this ends.
  Failures succeeded() {
    Failures ended;
    if (in_a_row_.load(std::memory_order_relaxed) != 0)
      ended.in_a_row = in_a_row_.exchange(0, std::memory_order_relaxed);
    if (in_window_.load(std::memory_order_relaxed) != 0)
      ended.in_window = in_window_.exchange(0, std::memory_order_relaxed);
    return ended;
  }
  /// A request failed; returns for how long the endpoint should be ejected, zero: not yet. When the request
  /// seemed to succeed before, `ended` are the failures that this had ended, which count again: else an
  /// endpoint whose every stream breaks would never fail twice in a row.
  Duration failed(const EjectionConfig& config, const FailureLimit& limit, MonotonicTime now, Failures ended);
  /// A request could not connect: the next check that succeeds shows that the endpoint is back.
  void nobody_there() { nobody_there_.store(true, std::memory_order_relaxed); }
  Duration failed(const EjectionConfig& config, const FailureLimit& limit, MonotonicTime now) {
    return failed(config, limit, now, {});
  }
  /// Ejects the endpoint until `now + time`. Afterwards it comes back slowly.
  void eject(Duration time, MonotonicTime now);
  /// It was away, and is a member again: it comes back slowly, unless it is ejected until later.
  void returned(MonotonicTime now);
  bool ejected(MonotonicTime now) const { return now < ejected_until(); }
  MonotonicTime ejected_until() const { return at(ejected_until_); }
  /// How often in a row it was ejected: each time for longer.
  std::uint32_t times_ejected() const { return times_ejected_.load(std::memory_order_relaxed); }

  /// The part of its usual share that it gets now, out of `kWhole`.
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
  std::atomic<bool> nobody_there_{false};  // a request could not connect since a check succeeded
  std::uint32_t contradictions_ = 0;       // checks in a row that contradict well_; control loop only
  std::uint32_t successes_ = 0;            // checks in a row; control loop only
  bool missed_ = false;                    // a check has failed since it came back; control loop only
  bool came_back_ = false;
  std::atomic<std::uint32_t> in_a_row_{0};   // failures
  std::atomic<std::uint32_t> in_window_{0};  // failures since window_began_
  std::atomic<Duration::rep> window_began_{0};
  std::atomic<Duration::rep> ejected_until_{0};
  std::atomic<std::uint32_t> times_ejected_{0};
  std::atomic<Duration::rep> back_since_{0};  // 0: was never out
};

}  // namespace autoglm::cluster
