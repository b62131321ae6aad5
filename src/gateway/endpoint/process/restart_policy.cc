#include "gateway/endpoint/process/restart_policy.h"

#include <algorithm>

namespace autoglm::gateway {

/// None after the first death, then twice as long each time; the jitter only shortens.
Duration RestartPolicy::pause(std::uint32_t deaths, Duration longest) {
  if (deaths <= 1) return Duration::zero();
  const Duration whole = std::min(longest, kFirstPause * (1U << std::min(deaths - 2, 20U)));
  return std::chrono::duration_cast<Duration>(whole * (0.5 + 0.5 * random_.uniform()));
}

RestartPolicy::Restart RestartPolicy::after(const Death& death) {
  if (death.up_since) {
    unserved_ = 0;
    served_ = death.at - *death.up_since >= kHealthy ? 1 : served_ + 1;
    return {.after = pause(served_, kServedPause)};
  }
  ++unserved_;
  if (death.could_not_load) return {.after = kFailedPause, .failed = true};
  return {.after = pause(unserved_, kUnservedPause), .failed = unserved_ >= kAttempts};
}

}  // namespace autoglm::gateway
