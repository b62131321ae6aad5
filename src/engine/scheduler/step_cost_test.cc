#include "engine/scheduler/step_cost.h"

#include "base/random.h"

#include <gtest/gtest.h>

namespace autoglm::engine {
namespace {

using namespace std::chrono_literals;

double ms(Duration duration) { return std::chrono::duration<double, std::milli>(duration).count(); }

/// A machine: what its steps really take.
struct Machine {
  double fixed, decode_row, prefill_row;
  double noise = 0;
  Random random{7};

  Duration took(std::uint32_t decode_rows, std::uint32_t prefill_rows) {
    const double exact = fixed + decode_row * decode_rows + prefill_row * prefill_rows;
    return std::chrono::duration_cast<Duration>(
        std::chrono::duration<double, std::milli>(exact * (1 + noise * (2 * random.uniform() - 1))));
  }
  void run(StepCost& cost, std::uint32_t decode_rows, std::uint32_t prefill_rows, int steps = 1) {
    for (; steps > 0; --steps) cost.observe(decode_rows, prefill_rows, took(decode_rows, prefill_rows));
  }
};

TEST(StepCost, KnowsAStepOfStreamsThatItHasOnlySeenWithPrompts) {
  Machine machine{.fixed = 10, .decode_row = 5, .prefill_row = 6, .noise = 0.1};
  StepCost cost;
  machine.run(cost, 0, 300);  // the first prompt, alone
  for (std::uint32_t i = 0; i < 100; ++i) machine.run(cost, 12 + i % 3, 8 + i % 7);
  machine.run(cost, 0, 20, 10);
  EXPECT_NEAR(ms(cost.without_prompts(12)), 70, 14);
  EXPECT_NEAR(ms(cost.prefill_row()), 6, 1.5);
}

TEST(StepCost, TakesWhatPromptsAddForTheirsWhereStreamsAreKnown) {
  Machine machine{.fixed = 20, .decode_row = 0, .prefill_row = 2};
  StepCost cost;
  machine.run(cost, 4, 0, 5);
  machine.run(cost, 4, 12, 5);
  EXPECT_NEAR(ms(cost.prefill_row()), 2, 0.1);
  EXPECT_NEAR(ms(cost.without_prompts(4)), 20, 1);
}

TEST(StepCost, FollowsAMachineThatSlowsDown) {
  Machine machine{.fixed = 10, .decode_row = 1, .prefill_row = 1, .noise = 0.1};
  StepCost cost;
  machine.run(cost, 4, 10, 50);
  machine.fixed = 20;
  machine.decode_row = machine.prefill_row = 2;
  machine.run(cost, 4, 10, 40);
  EXPECT_NEAR(ms(cost.without_prompts(4) + cost.prefill_row() * 10), 48, 6);
}

TEST(StepCost, OneStepThatTookMuchLongerMovesLittle) {
  Machine machine{.fixed = 10, .decode_row = 1, .prefill_row = 1};
  StepCost cost;
  machine.run(cost, 4, 0, 50);
  cost.observe(4, 0, 3s);
  EXPECT_NEAR(ms(cost.without_prompts(4)), 14, 4);
}

TEST(StepCost, FitsPromptsIntoATime) {
  Machine machine{.fixed = 20, .decode_row = 0, .prefill_row = 2};
  StepCost cost;
  machine.run(cost, 4, 0, 5);
  machine.run(cost, 4, 12, 5);
  EXPECT_NEAR(cost.prompt_rows_in(40ms), 20, 1);
  EXPECT_NEAR(cost.prompt_rows_in(300ms), 150, 1);
  EXPECT_EQ(cost.prompt_rows_in(-5ms), 0U);
}

TEST(StepCost, IsNeverNegative) {
  Random random(3);
  StepCost cost;
  for (int i = 0; i < 100'000; ++i) {
    cost.observe(static_cast<std::uint32_t>(random.below(40)), static_cast<std::uint32_t>(random.below(100)),
                 std::chrono::microseconds(random.below(1'000'000)));
    ASSERT_GE(cost.without_prompts(8), 0ms);
    ASSERT_GT(cost.prefill_row(), 0ms);
    ASSERT_LT(cost.without_prompts(1), 10s);
  }
}

}  // namespace
}  // namespace autoglm::engine
