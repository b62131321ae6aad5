#include "engine/scheduler/scheduler.h"

#include "engine/testing/scheduler_fixture.h"

#include <algorithm>

namespace autoglm::engine {
namespace {

using namespace std::chrono_literals;

TEST_F(SchedulerTest, ComputesAPromptAndThenOneTokenAStep) {
  add(kA, 10);
  auto planned = step();
  EXPECT_EQ(admitted(planned), std::vector{kA});
  ASSERT_EQ(planned.slices.size(), 1U);
  EXPECT_EQ(planned.slices[0].count, 10U);
  EXPECT_TRUE(planned.slices[0].completes);
  EXPECT_TRUE(plan().slices.empty());  // no work until a token is chosen
  append(kA);
  planned = plan();
  ASSERT_EQ(planned.slices.size(), 1U);
  EXPECT_EQ(planned.slices[0].first, 10U);
  EXPECT_EQ(planned.decode_rows, 1U);
}

TEST_F(SchedulerTest, BoundsPromptsByTimeWhileOthersGenerate) {
  start_streams(4, 20ms);
  add(kB, 5000);
  std::uint32_t rows = 0;  // the maximum: some steps take fewer rows, to learn what they cost
  for (int i = 0; i < 30; ++i) {
    const auto planned = plan();
    EXPECT_EQ(planned.decode_rows, 4U);
    take_tokens(planned, 20ms + 2ms * planned.prefill_rows);  // prefill: 2 ms a token
    if (i > 20) rows = std::max(rows, planned.prefill_rows);
  }
  EXPECT_NEAR(rows, 25, 4);  // (3.5 × 20 - 20) / 2, all rows in fours
}

TEST_F(SchedulerTest, ReadsManyPromptsBeforeItGenerates) {
  for (std::uint64_t key = 1; key <= 8; ++key) add(SequenceKey{key}, 30);
  std::uint32_t alone = 0;
  while (true) {
    const auto planned = plan();
    take_tokens(planned, 10ms);
    if (planned.prefill_rows == 0) break;
    alone += planned.decode_rows == 0 ? planned.prefill_rows : 0;
  }
  EXPECT_GE(alone, 180U);
}

TEST_F(SchedulerTest, StepsAreStretchedAndTakeNoLongerThanTheMost) {
  for (const auto& [streams, step] : {std::pair(20ms, 70ms), {45ms, 157ms}, {100ms, 200ms}}) {
    use(limits_of(8192, 200ms));
    start_streams(4, streams);
    add(kB, 5000);
    std::uint32_t rows = 0;  // the maximum: some steps take fewer rows, to learn what they cost
    for (int i = 0; i < 100; ++i) {
      const auto planned = plan();
      if (i >= 90) rows = std::max(rows, planned.prefill_rows);
      take_tokens(planned, streams + 4ms * planned.prefill_rows);
    }
    EXPECT_NEAR(rows * 4.0, static_cast<double>((step - streams) / 1ms), 25) << streams / 1ms;
  }
}

TEST_F(SchedulerTest, DeepPromptsAreReadInSmallerPieces) {
  start_streams(4, 20ms);
  add(kB, 5000);
  std::uint32_t begin = 0;
  std::uint32_t end = 0;
  for (std::uint32_t depth = 0; depth < 4500;) {
    const auto planned = plan();
    const Duration took = 20ms + 1us * (500 * planned.prefill_rows + planned.prefill_cells / 2);
    if (depth > 1000) EXPECT_LT(took, 80ms) << "of 70, at a depth of " << depth;
    (depth < 1000 ? begin : end) = planned.prefill_rows;
    take_tokens(planned, took);
    depth += planned.prefill_rows;
  }
  EXPECT_GT(begin, 2 * end);
}

TEST_F(SchedulerTest, FillsTilesWhereTheBackendHasThem) {
  SchedulerLimits limits = limits_of(8192, 200ms);
  limits.tile_rows = 32;
  use(limits);
  start_streams(4, 11ms);
  add(kB, 7000);
  int full = 0;
  for (int i = 0; i < 100; ++i) {
    const auto planned = plan();
    const std::uint32_t rows = planned.decode_rows + planned.prefill_rows;
    if (i >= 50) full += rows % 32 == 0 ? 1 : 0;
    take_tokens(planned, 1us * (1000 + 250 * rows + 9000 * ((rows + 31) / 32)));
  }
  EXPECT_GT(full, 35) << "of 50";
}

TEST_F(SchedulerTest, RowsComeInFours) {
  start_streams(5, 20ms);
  add(kB, 5000);
  for (int i = 0; i < 10; ++i) {
    const auto planned = plan();
    EXPECT_EQ((planned.decode_rows + planned.prefill_rows) % 4, 0U);
    take_tokens(planned, 60ms);
  }
}

TEST_F(SchedulerTest, GivesALonePromptTheWholeBatch) {
  use(limits_of(8192, 1ms));
  add(kA, 2000);
  EXPECT_EQ(plan().prefill_rows, 512U);
}

TEST_F(SchedulerTest, SendsTheYoungestBackWhenTheCacheOverflows) {
  use(limits_of(100));
  add(kA, 40);
  add(kB, 20);
  step();
  std::vector<SequenceKey> preempted;
  for (int i = 0; i < 40 && preempted.empty(); ++i) {
    append(kA);
    append(kB);
    preempted = step().preempted;
  }
  EXPECT_EQ(preempted, std::vector{kB});
  EXPECT_EQ(scheduler_->running(), 1U);
  EXPECT_EQ(scheduler_->waiting(), 1U);
  scheduler_->remove(kA);
  const auto planned = plan();
  EXPECT_EQ(admitted(planned), std::vector{kB});
  ASSERT_EQ(planned.slices.size(), 1U);
  // Its generated tokens are computed again, unless their blocks are still there.
  EXPECT_EQ(planned.slices[0].first, planned.admitted[0].cached);
  EXPECT_EQ(planned.slices[0].first + planned.slices[0].count, tokens_[kB]->size());
}

TEST_F(SchedulerTest, RestoresWhatASequenceHadComputedBeforeItWasSentBack) {
  for (const std::uint64_t saved_tokens : {200U, 10U}) {
    SchedulerLimits limits = limits_of(160);
    limits.saved_tokens = saved_tokens;
    use(limits);
    add(kA, 64);
    add(kB, 50);
    for (int i = 0; i < 4; ++i) take_tokens(plan(), 1ms);
    // kB's cells are needed for kC, which is more important, and for kA.
    add(kC, 80, 1, 5);
    std::uint32_t computed_again = 0;
    std::uint32_t restored = 0;
    bool sent_back = false;
    for (int i = 0; i < 20; ++i) {
      const auto planned = plan();
      for (const SequenceKey key : planned.preempted) sent_back |= key == kB;
      for (const auto& admission : planned.admitted)
        restored += admission.sequence == kB ? admission.restored : 0;
      for (const auto& slice : planned.slices) {
        if (slice.sequence == kB && sent_back && slice.count > 1) computed_again += slice.count;
      }
      take_tokens(planned, 1ms);
      if (i == 10) {
        scheduler_->remove(kA);
        scheduler_->remove(kC);
      }
    }
    ASSERT_TRUE(sent_back);
    EXPECT_EQ(restored > 0, saved_tokens == 200U);
    EXPECT_EQ(computed_again > 0, saved_tokens == 10U) << "nothing could be saved";
    EXPECT_EQ(scheduler_->saved_tokens(), 0U);
  }
}

TEST_F(SchedulerTest, SendsTheLowestPriorityBackFirst) {
  use(limits_of(100));
  add(kA, 40, 1, 1);
  add(kB, 20, 1, 5);
  step();
  std::vector<SequenceKey> preempted;
  for (int i = 0; i < 40 && preempted.empty(); ++i) {
    append(kA);
    append(kB);
    preempted = step().preempted;
  }
  EXPECT_EQ(preempted, std::vector{kA});
}

TEST_F(SchedulerTest, AHigherPriorityTakesTheSlotOfALowerOne) {
  use({.max_sequences = 2});
  add(kA, 10);
  add(kB, 10);
  step();
  append(kA);
  append(kB);
  add(kC, 10, 1, 9);
  const auto planned = step();
  EXPECT_EQ(planned.preempted, std::vector{kB});
  EXPECT_EQ(admitted(planned), std::vector{kC});
  // Its prompt has the step to itself; no stream stands still for longer than half a second.
  EXPECT_EQ(planned.decode_rows, 0U);
}

TEST_F(SchedulerTest, StreamsYieldToAnUrgentPromptButNotForLong) {
  use(limits_of(8192, 10ms));
  add(kA, 10);
  step();
  append(kA);
  add(kB, 8000, 1, 9);
  int still = 0;
  Duration longest{0};
  MonotonicTime last = now_;
  for (int i = 0; i < 200; ++i) {
    const auto planned = step(50ms);
    if (planned.decode_rows == 0) {
      ++still;
    } else {
      longest = std::max(longest, now_ - last);
      last = now_;
      append(kA);
    }
  }
  EXPECT_GT(still, 10);
  EXPECT_LE(longest, 650ms);
}

TEST_F(SchedulerTest, AnUrgentPromptIsReadInAsFewStepsAsStreamsStandStillFor) {
  start_streams(4, 200ms);
  add(kB, 300, 1, 9);
  const auto took = [](const Scheduler::Step& planned) -> Duration {
    return (planned.decode_rows > 0 ? 200ms : 0ms) + 5ms * planned.prefill_rows;
  };
  Duration all{0};
  Duration longest{0};
  int steps = 0;
  for (; tokens_[kB]->size() == 300 && steps < 100; ++steps) {
    const auto planned = plan();
    longest = std::max(longest, took(planned));
    all += took(planned);
    take_tokens(planned, took(planned));
  }
  EXPECT_LE(all, 1500ms * 3 / 2) << "alone it takes 1.5 s";
  EXPECT_GE(longest, 400ms);
  EXPECT_LE(longest, 1100ms);  // four tokens of the streams, and the step in progress
}

TEST_F(SchedulerTest, StreamsOutOfPhaseStandStillTogether) {
  start_streams(4, 100ms);
  for (const bool paused : {true, false}) {  // two streams had their last token earlier than the others
    for (std::uint64_t key : {100, 101}) scheduler_->set_paused(SequenceKey{key}, paused);
    if (paused) take_tokens(plan(), 100ms);
  }
  add(kB, 3000, 1, 9);
  int alone = 0;
  for (int i = 0; i < 20; ++i) {
    const auto planned = plan();
    EXPECT_TRUE(planned.decode_rows == 0 || planned.decode_rows == 4) << planned.decode_rows;
    if (planned.decode_rows == 0) ++alone;
    take_tokens(planned, (planned.decode_rows > 0 ? 100ms : 0ms) + 5ms * planned.prefill_rows);
  }
  EXPECT_GE(alone, 8);
}

TEST_F(SchedulerTest, BringsBackPrefixesThatWereCrowdedOut) {
  for (const std::uint64_t saved : {0, 100}) {
    SchedulerLimits limits = limits_of(256, 200ms);
    limits.saved_tokens = saved;
    use(limits);
    std::uint32_t cached = 0;
    for (const auto key : {kA, kB, kC}) {
      add(key, key == kB ? 230 : 70, 1, 0, key == kB ? 0 : 70);
      for (auto planned = step(); !planned.slices.empty(); planned = step()) {
        if (!planned.admitted.empty()) cached = planned.admitted[0].cached;
      }
      scheduler_->remove(key);
    }
    EXPECT_EQ(cached, saved == 0 ? 16U : 64U) << "of A's tokens, which B's pushed out";
  }
}

TEST_F(SchedulerTest, TakesOverWhatAnotherHasComputed) {
  add(kA, 100, 1, 0, 64);
  step();
  add(kB, 100, 1, 0, 64);
  const auto planned = plan();
  ASSERT_EQ(planned.admitted.size(), 1U);
  EXPECT_EQ(planned.admitted[0].cached, 64U);
  EXPECT_EQ(planned.prefill_rows, 36U);
}

TEST_F(SchedulerTest, WaitsForABeginningThatAnotherIsComputing) {
  add(kA, 1000, 1, 0, 900);
  add(kB, 1000, 1, 0, 900);
  add(kC, 50);
  auto planned = step();
  EXPECT_EQ(admitted(planned), (std::vector{kA, kC}));  // a sequence without a common prefix passes by
  std::uint32_t rows = planned.prefill_rows;
  while (scheduler_->waiting() > 0) {
    planned = step();
    rows += planned.prefill_rows;
  }
  EXPECT_EQ(admitted(planned), std::vector{kB});
  EXPECT_EQ(planned.admitted[0].cached, 896U);
  for (int i = 0; i < 10; ++i) rows += step().prefill_rows;
  EXPECT_EQ(rows, 1000U + 50U + 104U);
}

TEST_F(SchedulerTest, ForgetsWhomItWaitedForWhenThatOneLeaves) {
  add(kA, 1000, 1, 0, 900);
  add(kB, 1000, 1, 0, 900);
  step();
  scheduler_->remove(kA);
  EXPECT_EQ(admitted(step()), std::vector{kB});
}

TEST_F(SchedulerTest, CountsSharedCellsOnce) {
  use(limits_of(1000));
  add(kA, 96, 3);
  step();
  fork(kA, kB);
  fork(kA, kC);
  EXPECT_EQ(scheduler_->running(), 3U);
  EXPECT_EQ(scheduler_->cache().used_cells(), 96U);
  for (const SequenceKey key : {kA, kB, kC}) append(key);
  step();
  EXPECT_EQ(scheduler_->cache().used_cells(), 99U);
  scheduler_->remove(kA);
  EXPECT_EQ(scheduler_->cache().used_cells(), 98U);
  scheduler_->remove(kB);
  scheduler_->remove(kC);
  EXPECT_EQ(scheduler_->cache().used_cells(), 0U);
}

TEST_F(SchedulerTest, KeepsAForkingRequestsSlotsForIt) {
  use({.max_sequences = 4});
  add(kA, 10, 3);
  add(kB, 10, 2);
  EXPECT_EQ(admitted(plan()), std::vector{kA});
}

TEST_F(SchedulerTest, PausedSequencesGetNoWork) {
  add(kA, 10);
  step();
  append(kA);
  scheduler_->set_paused(kA, true);
  EXPECT_TRUE(plan().slices.empty());
  scheduler_->set_paused(kA, false);
  EXPECT_EQ(plan().slices.size(), 1U);
}

TEST_F(SchedulerTest, DoesNotBeginWhatIsTooLateAlready) {
  auto tokens = std::make_unique<std::vector<TokenId>>(10, 1);
  scheduler_->add({.key = kA, .tokens = tokens.get(), .arrived = now_, .deadline = now_ + 1s});
  now_ += 2s;
  EXPECT_TRUE(plan().admitted.empty());
}

TEST_F(SchedulerTest, AnAnswerThatEndsWhileItWaitsIsChargedForToo) {
  use({.max_sequences = 1});
  const auto add_of = [this](std::uint64_t tenant, std::uint64_t key, std::uint8_t priority = 0) {
    auto tokens = std::make_unique<std::vector<TokenId>>(10, static_cast<TokenId>(key));
    scheduler_->add({.key = SequenceKey{key},
                     .tokens = tokens.get(),
                     .priority = priority,
                     .tenant = tenant,
                     .arrived = now_});
    tokens_[SequenceKey{key}] = std::move(tokens);
  };
  add_of(1, 1);
  add_of(3, 2);  // waits, so that nothing is forgotten
  step();
  for (int i = 0; i < 200; ++i) {
    append(kA);
    step();
  }
  add_of(4, 3, 9);
  ASSERT_EQ(step().preempted, std::vector{kA});
  scheduler_->remove(kA);
  add_of(1, 11);
  for (const std::uint64_t key : {21U, 22U, 23U}) add_of(2, key);
  scheduler_->remove(kC);
  SequenceKey last{0};
  for (int i = 0; i < 5; ++i) {
    const auto begun = admitted(step());
    ASSERT_EQ(begun.size(), 1U);
    last = begun.front();
    scheduler_->remove(last);
  }
  EXPECT_EQ(last, SequenceKey{11});
}

}  // namespace
}  // namespace autoglm::engine
