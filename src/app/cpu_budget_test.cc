#include "app/cpu_budget.h"

#include <gtest/gtest.h>

namespace autoglm::app {
namespace {

TEST(CpuBudget, NeverExceedsTheCpusHoweverHighTheCeiling) {
  for (unsigned cpus = 2; cpus <= 128; ++cpus) {
    for (const unsigned ceiling : {0U, 1U, 2U, 4U, 1000U}) {
      const CpuBudget budget = CpuBudget::of(cpus, ceiling, true);
      EXPECT_GE(budget.loops, 1U);
      EXPECT_GE(budget.compute, 1U);
      EXPECT_LE(budget.loops + budget.compute, cpus);
      if (ceiling >= 2) EXPECT_LE(budget.loops + budget.compute, ceiling);
    }
  }
}

TEST(CpuBudget, GivesAGatewayAllOfThemToLoops) { EXPECT_EQ(CpuBudget::of(8, 0, false).loops, 8U); }

TEST(CpuBudget, GivesAnEngineMost) {
  const CpuBudget budget = CpuBudget::of(16, 0, true);
  EXPECT_EQ(budget.loops, 4U);
  EXPECT_EQ(budget.compute, 12U);
}

TEST(UsableCpus, IsAtLeastOne) { EXPECT_GE(usable_cpus(), 1U); }

}  // namespace
}  // namespace autoglm::app
