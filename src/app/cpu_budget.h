#pragma once

#include <filesystem>

namespace autoglm::app {

/// What this process may use of the machine.
struct UsableCpus {
  unsigned cpus = 1;  ///< hardware threads: its affinity, and the lowest CPU quota of its cgroups rounded up
  unsigned cores =
      1;  ///< physical cores among those: two hardware threads of one multiply no faster than one

  /// `root` is where /proc and /sys are looked for: tests put files there. What cannot be read limits
  /// nothing.
  static UsableCpus read(const std::filesystem::path& root = "/");
};

/// The lowest CPU quota among the cgroup of this process and all above it, of version 2 and 1, in CPUs.
/// Infinite: there is none.
double cpu_quota(const std::filesystem::path& root);

/// How working threads are shared out.
struct CpuBudget {
  unsigned loops = 1;
  /// At most: how many of them compute a step, the engine decides (StepThreads). Also where no model computes
  /// yet: a reload may bring one.
  unsigned compute = 1;

  /// `ceiling`: MAX_WORKERS, 0 for none. `with_engine`: whether a model computes in this process from the
  /// beginning.
  static CpuBudget of(const UsableCpus& usable, unsigned ceiling, bool with_engine);
};

}  // namespace autoglm::app
