#include "engine/scheduler/step_cost.h"

#include "base/random.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace autoglm::engine {
namespace {

using namespace std::chrono_literals;

double ms(Duration duration) { return std::chrono::duration<double, std::milli>(duration).count(); }

/// A machine with the true cost of its steps.
struct Machine {
  double fixed, decode_row, prefill_row;
  double noise = 0;
  double odd_row = 0;  ///< extra cost, for rows beyond a multiple of 16
  double cell = 0;     ///< of a thousand cells
  Random random{7};

  Duration took(const StepRows& rows) {
    const double exact = fixed + decode_row * rows.decode + prefill_row * rows.prefill +
                         odd_row * ((rows.decode + rows.prefill) % 16) + cell * double(rows.cells) / 1000;
    return std::chrono::duration_cast<Duration>(
        std::chrono::duration<double, std::milli>(exact * (1 + noise * (2 * random.uniform() - 1))));
  }
  void run(StepCost& cost, const StepRows& rows, int steps = 1) {
    for (; steps > 0; --steps) cost.observe(rows, took(rows));
  }
};

TEST(StepCost, KnowsAStepOfStreamsThatItHasOnlySeenWithPrompts) {
  Machine machine{.fixed = 10, .decode_row = 5, .prefill_row = 6, .noise = 0.1};
  StepCost cost;
  machine.run(cost, {0, 300});  // the first prompt, alone
  for (std::uint32_t i = 0; i < 100; ++i) machine.run(cost, {12 + i % 3, 8 + i % 7});
  machine.run(cost, {0, 20}, 10);
  EXPECT_NEAR(ms(cost.step({12, 0})), 70, 14);
  EXPECT_NEAR(ms(cost.step({12, 12}) - cost.step({12, 0})), 72, 18);
}

TEST(StepCost, TakesWhatPromptsAddForTheirsWhereStreamsAreKnown) {
  Machine machine{.fixed = 20, .decode_row = 0, .prefill_row = 2};
  StepCost cost;
  machine.run(cost, {4, 0}, 5);
  machine.run(cost, {4, 12}, 5);
  EXPECT_NEAR(ms(cost.step({4, 12}) - cost.step({4, 0})), 24, 2);
  EXPECT_NEAR(ms(cost.step({4, 0})), 20, 2);
}

TEST(StepCost, FollowsAMachineThatSlowsDown) {
  Machine machine{.fixed = 10, .decode_row = 1, .prefill_row = 1, .noise = 0.1};
  StepCost cost;
  machine.run(cost, {4, 10}, 50);
  machine.fixed = 20;
  machine.decode_row = machine.prefill_row = 2;
  machine.run(cost, {4, 10}, 40);
  EXPECT_NEAR(ms(cost.step({4, 10})), 48, 6);
}

TEST(StepCost, OneStepThatTookMuchLongerMovesLittle) {
  Machine machine{.fixed = 10, .decode_row = 1, .prefill_row = 1};
  StepCost cost;
  machine.run(cost, {4, 0}, 50);
  cost.observe({4, 0}, 3s);
  EXPECT_NEAR(ms(cost.step({4, 0})), 14, 4);
}

TEST(StepCost, FitsPromptsIntoATime) {
  Machine machine{.fixed = 20, .decode_row = 0, .prefill_row = 2};
  StepCost cost;
  for (std::uint32_t i = 0; i < 200; ++i) machine.run(cost, {4, i % 12 * 4});
  EXPECT_NEAR(cost.prompt_rows_in(101ms, 4, 512, 0), 40, 4);
  EXPECT_EQ(cost.prompt_rows_in(300ms, 4, 100, 0), 100U);
  EXPECT_EQ(cost.prompt_rows_in(-5ms, 4, 512, 0), 0U);
}

TEST(StepCost, FillsPassesWhereThatIsCheaper) {
  for (const double odd_row : {0.0, 3.4}) {
    Machine machine{.fixed = 10, .decode_row = 5, .prefill_row = 5, .noise = 0.1, .odd_row = odd_row};
    StepCost cost;
    machine.run(cost, {0, 160});
    int whole = 0;
    for (int i = 0; i < 300; ++i) {
      const std::uint32_t rows = cost.prompt_rows_in(215ms, 4, 512, 0);
      machine.run(cost, {4, rows});
      if (i >= 100) whole += (4 + rows) % 16 == 0 ? 1 : 0;
    }
    if (odd_row > 0) {
      EXPECT_GT(whole, 150) << "of 200, since 32 rows take 170 ms and 36 take 204";
    } else {
      EXPECT_LT(whole, 100) << "of 200, since 40 fit";
    }
  }
}

TEST(StepCost, FillsTiles) {
  // 32, 36 and 64 rows: 22, 32 and 39 ms.
  const auto took = [](const StepRows& step) {
    const std::uint32_t rows = step.decode + step.prefill;
    return std::chrono::microseconds(5000 + 250 * rows + 9000 * ((rows + 31) / 32));
  };
  StepCost cost(32);
  cost.observe({0, 512}, took({0, 512}));
  for (const auto& [time, most] : {std::pair(34ms, 32U), std::pair(50ms, 64U)}) {
    int full = 0;
    for (int i = 0; i < 300; ++i) {
      const StepRows step{4, cost.prompt_rows_in(time, 4, 512, 0)};
      cost.observe(step, took(step));
      if (i >= 100) full += step.decode + step.prefill == most ? 1 : 0;
    }
    EXPECT_GT(full, 150) << "of 200; more fit, but cost another tile";
  }
}

TEST(StepCost, KnowsStreamsWhoAreNeverWithoutPrompts) {
  for (std::uint64_t seed = 1; seed <= 6; ++seed) {
    for (const double cell : {0.0, 0.5}) {
      SCOPED_TRACE(fmt::format("seed {}, a thousand cells cost {}", seed, cell));
      Machine machine{.fixed = 18,
                      .decode_row = 0.5,
                      .prefill_row = 0.5,
                      .noise = 0.1,
                      .cell = cell,
                      .random = Random(seed)};
      StepCost cost;
      machine.run(cost, {4, 0}, 3);
      std::uint32_t depth = 0;
      for (int i = 0; i < 400; ++i) {
        const Duration streams = cost.step({.decode = 4});
        if (i > 50) ASSERT_NEAR(ms(streams), 20, 5) << "after " << i << " steps";
        const StepRows step =
            StepRows::of_prompt(4, std::max(8U, cost.prompt_rows_in(streams * 7 / 2, 4, 508, depth)), depth);
        machine.run(cost, step);
        depth = depth > 5000 ? 0 : depth + step.prefill;
      }
    }
  }
}

TEST(StepCost, KnowsThatDeeperRowsTakeLonger) {
  Machine machine{.fixed = 5, .decode_row = 1.2, .prefill_row = 0.6, .noise = 0.1, .cell = 0.4};
  StepCost cost;
  for (int prompt = 0; prompt < 3; ++prompt) {
    for (std::uint32_t depth = 0; depth < 1500;) {
      const std::uint32_t rows = std::max(4U, cost.prompt_rows_in(50ms, 4, 512, depth));
      const StepRows step = StepRows::of_prompt(4, rows, depth);
      if (prompt > 0 && depth > 100) EXPECT_LT(ms(machine.took(step)), 57) << "at a depth of " << depth;
      machine.run(cost, step);
      depth += rows;
    }
  }
  const auto took = [&](std::uint32_t depth) { return ms(cost.step(StepRows::of_prompt(4, 32, depth))); };
  EXPECT_NEAR(took(2000) - took(0), 32 * 2 * 0.4, 5);
}

TEST(StepCost, IsNeverNegative) {
  Random random(3);
  StepCost cost;
  for (int i = 0; i < 100'000; ++i) {
    cost.observe({static_cast<std::uint32_t>(random.below(40)), static_cast<std::uint32_t>(random.below(100)),
                  random.below(100'000)},
                 std::chrono::microseconds(random.below(1'000'000)));
    ASSERT_GE(cost.step({8, 0}), 0ms);
    ASSERT_GT(cost.step({0, 16}), 0ms);
    ASSERT_LT(cost.step({1, 0}), 10s);
  }
}

}  // namespace
}  // namespace autoglm::engine
