#include "app/cpu_budget.h"

#include <sched.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <string>

namespace autoglm::app {

namespace {

constexpr unsigned kMaxLoops = 4;  // with an engine: what it answers takes few cycles

/// cgroup v2's `cpu.max`: "quota period", or "max period".
double cgroup_cpus() {
  std::ifstream file("/sys/fs/cgroup/cpu.max");
  std::string quota;
  double period = 0;
  if (!(file >> quota >> period) || quota == "max" || period <= 0) return 1e9;
  return std::max(1.0, std::strtod(quota.c_str(), nullptr) / period);
}

}  // namespace

unsigned usable_cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  const int counted = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
  return static_cast<unsigned>(std::min<double>(std::max(1, counted), std::ceil(cgroup_cpus())));
}

CpuBudget CpuBudget::of(unsigned cpus, unsigned ceiling, bool with_engine) {
  const unsigned threads = ceiling == 0 ? cpus : std::min(cpus, ceiling);
  if (!with_engine) return {.loops = std::max(1U, threads), .compute = 0};
  const unsigned loops = std::clamp(threads / 4, 1U, kMaxLoops);
  return {.loops = loops, .compute = std::max(1U, threads > loops ? threads - loops : 1U)};
}

}  // namespace autoglm::app
