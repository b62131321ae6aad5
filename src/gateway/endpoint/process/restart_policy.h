#pragma once

#include "base/clock.h"
#include "base/random.h"

#include <cstdint>
#include <optional>

namespace autoglm::gateway {

/// When a process that has ended is started again. Pure but for the jitter, whose seed is given.
///
/// A process that had come up is started again within a second, however often it dies: its requests wait. For
/// one that did not come up the pause doubles each time, since loading is expensive; after some attempts it
/// counts as failed, so that no request waits for it, and is tried at long intervals only.
class RestartPolicy {
 public:
  static constexpr Duration kFirstPause = std::chrono::milliseconds(50);  ///< after the second death
  static constexpr Duration kServedPause =
      std::chrono::milliseconds(500);  ///< at most, for a process that came up
  static constexpr Duration kUnservedPause = std::chrono::seconds(30);  ///< at most, for one that did not
  static constexpr Duration kFailedPause = std::chrono::minutes(1);  ///< for one that cannot load its model
  static constexpr Duration kHealthy =
      std::chrono::seconds(10);                  ///< when it was up for so long, earlier deaths are forgotten
  static constexpr std::uint32_t kAttempts = 5;  ///< that end before it came up count as a failure

  explicit RestartPolicy(std::uint64_t seed) : random_(seed) {}

  struct Death {
    MonotonicTime at;
    std::optional<MonotonicTime> up_since = std::nullopt;  ///< absent: it had not loaded its model
    bool could_not_load = false;                           ///< it reported that: the same will happen again
  };
  struct Restart {
    Duration after{0};
    bool failed = false;  ///< no request should wait for it
  };
  Restart after(const Death& death);

 private:
  Duration pause(std::uint32_t deaths, Duration longest);

  Random random_;
  std::uint32_t served_ = 0;    // deaths in a row after coming up
  std::uint32_t unserved_ = 0;  // deaths in a row before coming up
};

}  // namespace autoglm::gateway
