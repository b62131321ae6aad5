#pragma once

namespace autoglm::app {

/// How many CPUs this process may use: its affinity, and the cgroup's quota rounded up.
unsigned usable_cpus();

/// How working threads are shared out. Loops and compute threads together never exceed the CPUs: compute
/// threads wait for each other at barriers and collapse when another busy thread shares their core.
struct CpuBudget {
  unsigned loops = 1;
  unsigned compute = 1;

  /// `ceiling`: MAX_WORKERS, 0 for none. `with_engine`: whether a model computes in this process.
  static CpuBudget of(unsigned cpus, unsigned ceiling, bool with_engine);
};

}  // namespace autoglm::app
