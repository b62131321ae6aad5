#include "app/cpu_budget.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <string>

namespace autoglm::app {
namespace {

namespace fs = std::filesystem;

/// A machine's /proc and /sys, as far as this room reads them.
class MachineFiles : public ::testing::Test {
 protected:
  MachineFiles() {
    std::string pattern = (fs::temp_directory_path() / "autoglm-cpus-XXXXXX").string();
    root_ = ::mkdtemp(pattern.data());
  }
  ~MachineFiles() override { fs::remove_all(root_); }

  void write(const std::string& path, const std::string& text) {
    fs::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path) << text;
  }

  fs::path root_;
};

TEST_F(MachineFiles, WithoutCgroupsThereIsNoQuota) { EXPECT_TRUE(std::isinf(cpu_quota(root_))); }

TEST_F(MachineFiles, TheLowestQuotaOfAllCgroupsAboveCounts) {
  write("proc/self/cgroup", "0::/system.slice/llm.service/worker\n");
  write("sys/fs/cgroup/system.slice/cpu.max", "800000 100000\n");
  write("sys/fs/cgroup/system.slice/llm.service/cpu.max", "150000 100000\n");  // systemd's CPUQuota=150%
  write("sys/fs/cgroup/system.slice/llm.service/worker/cpu.max", "max 100000\n");
  EXPECT_DOUBLE_EQ(cpu_quota(root_), 1.5);
}

TEST_F(MachineFiles, AContainersOwnQuotaIsAtTheRootOfItsMount) {
  write("proc/self/cgroup", "0::/\n");
  write("sys/fs/cgroup/cpu.max", "50000 100000\n");
  EXPECT_DOUBLE_EQ(cpu_quota(root_), 0.5);
}

TEST_F(MachineFiles, Version1IsReadToo) {
  write("proc/self/cgroup", "5:memory:/docker/abc\n4:cpu,cpuacct:/docker/abc\n3:cpuset:/docker/abc\n");
  write("sys/fs/cgroup/cpu,cpuacct/docker/cpu.cfs_quota_us", "-1\n");
  write("sys/fs/cgroup/cpu,cpuacct/docker/cpu.cfs_period_us", "100000\n");
  write("sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_quota_us", "250000\n");
  write("sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_period_us", "100000\n");
  write("sys/fs/cgroup/cpuset/docker/abc/cpu.max", "1 100000\n");  // another controller's
  EXPECT_DOUBLE_EQ(cpu_quota(root_), 2.5);
}

TEST_F(MachineFiles, AQuotaLimitsCpusAndCoresRoundedUp) {
  write("proc/self/cgroup", "0::/\n");
  write("sys/fs/cgroup/cpu.max", "10000 100000\n");
  const UsableCpus usable = UsableCpus::read(root_);
  EXPECT_EQ(usable.cpus, 1U);
  EXPECT_EQ(usable.cores, 1U);
}

TEST_F(MachineFiles, HardwareThreadsOfOneCoreCountOnce) {
  cpu_set_t set;
  CPU_ZERO(&set);
  ASSERT_EQ(::sched_getaffinity(0, sizeof set, &set), 0);
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &set)) continue;
    write("sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/topology/core_cpus_list", "0-4095\n");
  }
  const UsableCpus usable = UsableCpus::read(root_);
  EXPECT_EQ(usable.cpus, static_cast<unsigned>(CPU_COUNT(&set)));
  EXPECT_EQ(usable.cores, 1U);
}

TEST(CpuBudget, NeverExceedsTheCpusHoweverHighTheCeiling) {
  for (unsigned cpus = 1; cpus <= 128; ++cpus) {
    for (const unsigned ceiling : {0U, 1U, 2U, 4U, 1000U}) {
      const CpuBudget budget = CpuBudget::of({.cpus = cpus, .cores = cpus}, ceiling, true);
      const unsigned threads = ceiling == 0 ? cpus : std::min(cpus, ceiling);
      EXPECT_GE(budget.loops, 1U);
      EXPECT_LE(budget.loops, std::max(1U, threads));
      EXPECT_EQ(budget.compute, std::max(1U, threads));
    }
  }
}

TEST(CpuBudget, GivesAGatewayAllOfThemToLoopsAndCoresToAModelThatAReloadMayBring) {
  const CpuBudget budget = CpuBudget::of({.cpus = 8, .cores = 4}, 0, false);
  EXPECT_EQ(budget.loops, 8U);
  EXPECT_EQ(budget.compute, 4U);
}

TEST(CpuBudget, ComputesByPhysicalCores) {
  const CpuBudget budget = CpuBudget::of({.cpus = 16, .cores = 8}, 0, true);
  EXPECT_EQ(budget.loops, 4U);
  EXPECT_EQ(budget.compute, 8U);
}

TEST(UsableCpus, IsAtLeastOne) {
  EXPECT_GE(UsableCpus::read().cpus, 1U);
  EXPECT_GE(UsableCpus::read().cores, 1U);
}

}  // namespace
}  // namespace autoglm::app
