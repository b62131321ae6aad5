#pragma once

#include "base/clock.h"
#include "base/random.h"

#include <cstdint>
#include <optional>

namespace autoglm::gateway {

/// When a process that has ended is started again. Pure but for the jitter, whose seed is given.
///
/// One that had come up serves again within a second, however often it dies: its requests wait. One that did
/// not come up waits twice as long each time, for loading is what burns the machine; after some attempts it
/// counts as failed, so that nobody waits for it, and is tried at long intervals only.
class RestartPolicy {
 public:
  static constexpr Duration kFirstPause = std::chrono::milliseconds(50);    ///< behind the second death
  static constexpr Duration kServedPause = std::chrono::milliseconds(500);  ///< at most, of one that came up
  static constexpr Duration kUnservedPause = std::chrono::seconds(30);      ///< at most, of one that did not
  static constexpr Duration kFailedPause = std::chrono::minutes(1);         ///< of one that cannot load
  static constexpr Duration kHealthy = std::chrono::seconds(10);            ///< up so long, all is forgotten
  static constexpr std::uint32_t kAttempts = 5;  ///< that end before it came up make it a failure

  explicit RestartPolicy(std::uint64_t seed) : random_(seed) {}

  struct Death {
    MonotonicTime at;
    std::optional<MonotonicTime> up_since = std::nullopt;  ///< absent: it had not loaded its model
    bool could_not_load = false;                           ///< it said so: the same will happen again
  };
  struct Restart {
    Duration after{0};
    bool failed = false;  ///< nobody should wait for it
  };
  Restart after(const Death& death);

 private:
  Duration pause(std::uint32_t deaths, Duration longest);

  Random random_;
  std::uint32_t served_ = 0;    // deaths in a row of those that had come up
  std::uint32_t unserved_ = 0;  // and of those that had not
};

}  // namespace autoglm::gateway
