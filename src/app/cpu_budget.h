#pragma once

#include <filesystem>

namespace autoglm::app {

/// The CPUs that this process may use.
struct UsableCpus {
  unsigned cpus = 1;  ///< hardware threads: its affinity, and the lowest CPU quota of its cgroups rounded up
  unsigned cores =
      1;  ///< physical cores among those: two hardware threads of one multiply no faster than one

  /// `root` is where /proc and /sys are read: tests put files there. Files that cannot be read set no limit.
  static UsableCpus read(const std::filesystem::path& root = "/");
};

/// The lowest CPU quota among the cgroup of this process and all above it, of version 2 and 1, in CPUs.
/// Infinite: there is none.
double cpu_quota(const std::filesystem::path& root);

/// How the working threads are divided.
struct CpuBudget {
  unsigned loops = 1;
  /// The most that compute a step; the engine decides how many do (StepThreads). Set even when no model
  /// computes yet: a reload may bring one.
  unsigned compute = 1;

  /// `ceiling`: MAX_WORKERS, 0 for none. `with_engine`: whether a model computes in this process from the
  /// beginning.
  static CpuBudget of(const UsableCpus& usable, unsigned ceiling, bool with_engine);
};

}  // namespace autoglm::app
