#include "app/cpu_budget.h"

#include <fmt/format.h>
#include <sched.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>
#include <set>
#include <string>

namespace autoglm::app {

namespace {

constexpr unsigned kMaxLoops = 4;  // beside an engine, since loops need few cycles for its answers
constexpr double kNoQuota = std::numeric_limits<double>::infinity();

namespace fs = std::filesystem;

/// cgroup v2's `cpu.max` is "quota period" or "max period"; v1 has a file for each, and -1 for "max".
double quota_in(const fs::path& cgroup) {
  std::string quota;
  double period = 0;
  if (std::ifstream file(cgroup / "cpu.max"); !(file >> quota >> period)) {
    std::ifstream(cgroup / "cpu.cfs_quota_us") >> quota;
    std::ifstream(cgroup / "cpu.cfs_period_us") >> period;
  }
  const double microseconds = std::strtod(quota.c_str(), nullptr);  // 0: empty, or "max"
  return microseconds > 0 && period > 0 ? microseconds / period : kNoQuota;
}

/// From `path` below `mount` up to `mount` itself. Levels that are not visible from here have no files.
double lowest_quota(const fs::path& mount, const std::string& path) {
  double lowest = quota_in(mount);
  for (fs::path at = fs::path(path).relative_path(); !at.empty(); at = at.parent_path())
    lowest = std::min(lowest, quota_in(mount / at));
  return lowest;
}

/// A core is known by the list of its hardware threads.
unsigned count_cores(const cpu_set_t& cpus, const fs::path& root) {
  std::set<std::string> cores;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &cpus)) continue;
    const fs::path topology = root / fmt::format("sys/devices/system/cpu/cpu{}/topology", cpu);
    std::string siblings;
    if (!std::getline(std::ifstream(topology / "core_cpus_list") >> std::ws, siblings) &&
        !std::getline(std::ifstream(topology / "thread_siblings_list") >> std::ws, siblings)) {
      siblings = fmt::format("{}", cpu);
    }
    cores.insert(siblings);
  }
  return static_cast<unsigned>(cores.size());
}

}  // namespace

double cpu_quota(const fs::path& root) {
  double lowest = kNoQuota;
  std::ifstream file(root / "proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {  // "id:controllers:path"; version 2 has no controllers
    const std::size_t first = line.find(':');
    const std::size_t second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const std::string path = line.substr(second + 1);
    const fs::path mounts = root / "sys/fs/cgroup";
    if (controllers.empty()) {
      lowest = std::min({lowest, lowest_quota(mounts, path), lowest_quota(mounts / "unified", path)});
    } else if (("," + controllers + ",").find(",cpu,") != std::string::npos) {
      lowest =
          std::min({lowest, lowest_quota(mounts / controllers, path), lowest_quota(mounts / "cpu", path)});
    }
  }
  return lowest;
}

UsableCpus UsableCpus::read(const fs::path& root) {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof set, &set) != 0) return {};
  const auto cpus = static_cast<unsigned>(std::max(1, CPU_COUNT(&set)));
  const double quota = std::max(1.0, std::ceil(cpu_quota(root)));
  const auto within = [quota](unsigned count) {
    return static_cast<unsigned>(std::min<double>(count, quota));
  };
  return {.cpus = within(cpus), .cores = within(std::max(1U, count_cores(set, root)))};
}

CpuBudget CpuBudget::of(const UsableCpus& usable, unsigned ceiling, bool with_engine) {
  const unsigned threads = ceiling == 0 ? usable.cpus : std::min(usable.cpus, ceiling);
  return {.loops = with_engine ? std::clamp(threads / 4, 1U, kMaxLoops) : std::max(1U, threads),
          .compute = std::max(1U, std::min(usable.cores, threads))};
}

}  // namespace autoglm::app
