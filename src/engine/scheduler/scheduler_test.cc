#include "engine/scheduler/scheduler.h"

#include "base/random.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

namespace autoglm::engine {
namespace {

using namespace std::chrono_literals;

constexpr SequenceKey kA{1};
constexpr SequenceKey kB{2};
constexpr SequenceKey kC{3};

TEST(Scheduler, ComputesAPromptAndThenOneTokenAStep) {
  Scheduler scheduler({});
  scheduler.add(kA, 10, 1);
  Scheduler::Step step = scheduler.plan();
  EXPECT_EQ(step.admitted, std::vector{kA});
  ASSERT_EQ(step.slices.size(), 1U);
  EXPECT_EQ(step.slices[0].count, 10U);
  EXPECT_TRUE(step.slices[0].completes);
  scheduler.complete(step, 1ms);
  EXPECT_TRUE(scheduler.plan().slices.empty());  // nothing to do until a token is chosen
  scheduler.append(kA);
  step = scheduler.plan();
  ASSERT_EQ(step.slices.size(), 1U);
  EXPECT_EQ(step.slices[0].first, 10U);
  EXPECT_EQ(step.decode_rows, 1U);
}

TEST(Scheduler, BoundsPromptsByTimeWhileOthersGenerate) {
  Scheduler scheduler({.max_stall = 100ms});
  scheduler.add(kA, 1, 1);
  scheduler.complete(scheduler.plan(), 20ms);  // decode: 20 ms
  scheduler.append(kA);
  scheduler.add(kB, 1000, 1);
  for (int i = 0; i < 30; ++i) {
    const auto step = scheduler.plan();
    EXPECT_EQ(step.decode_rows, 1U);
    scheduler.complete(step, 20ms + 4ms * step.prefill_rows);  // prefill: 4 ms a token
    scheduler.append(kA);
    if (i > 20) {
      EXPECT_NEAR(step.prefill_rows, 20, 3);  // (100 - 20) / 4
    }
  }
}

TEST(Scheduler, GivesALonePromptTheWholeBatch) {
  Scheduler scheduler({.max_batch = 512, .max_stall = 1ms});
  scheduler.add(kA, 2000, 1);
  EXPECT_EQ(scheduler.plan().prefill_rows, 512U);
}

TEST(Scheduler, SendsTheYoungestBackWhenTheCacheOverflows) {
  Scheduler scheduler({.cache_cells = 100});
  scheduler.add(kA, 40, 1);
  scheduler.add(kB, 20, 1);
  scheduler.complete(scheduler.plan(), 1ms);
  std::vector<SequenceKey> preempted;
  for (int i = 0; i < 40 && preempted.empty(); ++i) {
    scheduler.append(kA);
    scheduler.append(kB);
    const auto step = scheduler.plan();
    preempted = step.preempted;
    if (preempted.empty()) scheduler.complete(step, 1ms);
  }
  EXPECT_EQ(preempted, std::vector{kB});
  EXPECT_EQ(scheduler.running(), 1U);
  EXPECT_EQ(scheduler.waiting(), 1U);
  scheduler.remove(kA);
  const auto step = scheduler.plan();
  EXPECT_EQ(step.admitted, std::vector{kB});
  ASSERT_EQ(step.slices.size(), 1U);
  EXPECT_EQ(step.slices[0].first, 0U);  // from the beginning, what it had generated included
  EXPECT_EQ(step.slices[0].count, 41U);
}

TEST(Scheduler, CountsSharedCellsOnce) {
  Scheduler scheduler({.cache_cells = 1000});
  scheduler.add(kA, 100, 3);
  scheduler.complete(scheduler.plan(), 1ms);
  scheduler.fork(kA, kB);
  scheduler.fork(kA, kC);
  EXPECT_EQ(scheduler.running(), 3U);
  EXPECT_EQ(scheduler.used_cells(), 100U);
  for (const SequenceKey key : {kA, kB, kC}) scheduler.append(key);
  scheduler.complete(scheduler.plan(), 1ms);
  EXPECT_EQ(scheduler.used_cells(), 103U);
  scheduler.remove(kA);
  EXPECT_EQ(scheduler.used_cells(), 102U);
  scheduler.remove(kB);
  scheduler.remove(kC);
  EXPECT_EQ(scheduler.used_cells(), 0U);
}

TEST(Scheduler, KeepsAForkingRequestsSlotsForIt) {
  Scheduler scheduler({.max_sequences = 4});
  scheduler.add(kA, 10, 3);
  scheduler.add(kB, 10, 2);
  EXPECT_EQ(scheduler.plan().admitted, std::vector{kA});
}

TEST(Scheduler, PausedSequencesGetNoWork) {
  Scheduler scheduler({});
  scheduler.add(kA, 10, 1);
  scheduler.complete(scheduler.plan(), 1ms);
  scheduler.append(kA);
  scheduler.set_paused(kA, true);
  EXPECT_TRUE(scheduler.plan().slices.empty());
  scheduler.set_paused(kA, false);
  EXPECT_EQ(scheduler.plan().slices.size(), 1U);
}

/// Requests of every size come, generate, fork, are cancelled and paused, against a cache far too small for
/// them.
struct Simulation {
  explicit Simulation(std::uint64_t seed) : random(seed), scheduler(limits) {}

  struct Live {
    std::uint32_t tokens;
    std::uint32_t left;  // to generate
    std::uint32_t forks;
    bool paused = false;
  };

  void arrive() {
    const auto tokens = 1 + static_cast<std::uint32_t>(random.below(random.below(10) == 0 ? 900 : 100));
    const auto slots = 1 + static_cast<std::uint32_t>(random.below(8) == 0 ? random.below(4) : 0);
    const SequenceKey key{++last_key};
    // As the engine does: prompt and answer fit the context, which fits the cache.
    const auto left = 1 + static_cast<std::uint32_t>(
                              random.below(std::min<std::uint64_t>(80, limits.cache_cells - tokens)));
    live[key] = {tokens, left, slots - 1};
    scheduler.add(key, tokens, slots);
    ++arrived;
  }

  void step() {
    const auto planned = scheduler.plan();
    preemptions += planned.preempted.size();
    std::uint32_t rows = 0;
    for (const auto& slice : planned.slices) {
      ASSERT_TRUE(live.contains(slice.sequence)) << "work for a sequence that has ended";
      ASSERT_FALSE(live[slice.sequence].paused);
      ASSERT_GT(slice.count, 0U);
      ASSERT_EQ(slice.completes, slice.first + slice.count == live[slice.sequence].tokens);
      rows += slice.count;
    }
    ASSERT_LE(rows, limits.max_batch);
    scheduler.complete(planned, std::chrono::microseconds(500 + 100 * rows));
    ASSERT_LE(scheduler.used_cells(), limits.cache_cells);
    ASSERT_LE(scheduler.running(), limits.max_sequences);
    for (const auto& slice : planned.slices) {
      if (slice.completes) advance(slice.sequence);
    }
    idle = planned.slices.empty() ? idle + 1 : 0;
  }

  void advance(SequenceKey key) {
    Live& sequence = live[key];
    for (; sequence.forks > 0; --sequence.forks) {
      const SequenceKey child{++last_key};
      scheduler.fork(key, child);
      live[child] = {sequence.tokens, sequence.left, 0};
      grow(child);
      ++forked;
    }
    grow(key);
  }

  void grow(SequenceKey key) {
    Live& sequence = live[key];
    if (--sequence.left == 0) {
      scheduler.remove(key);
      live.erase(key);
      ++ended;
      return;
    }
    ++sequence.tokens;
    scheduler.append(key);
  }

  void disturb() {
    if (live.empty()) return;
    const auto victim = std::next(live.begin(), static_cast<std::ptrdiff_t>(random.below(live.size())));
    if (random.below(4) == 0) {
      scheduler.remove(victim->first);
      live.erase(victim);
      ++cancelled;
    } else {
      victim->second.paused = !victim->second.paused;
      scheduler.set_paused(victim->first, victim->second.paused);
    }
  }

  SchedulerLimits limits{.max_sequences = 8, .cache_cells = 1024, .max_batch = 128, .max_stall = 10ms};
  Random random;
  Scheduler scheduler;
  std::map<SequenceKey, Live> live;
  std::uint64_t last_key = 0;
  std::uint64_t arrived = 0, ended = 0, cancelled = 0, forked = 0, preemptions = 0, idle = 0;
};

TEST(Scheduler, SimulationKeepsEveryBoundAndEndsEverySequence) {
  std::uint64_t preemptions = 0, forks = 0, cancels = 0;
  for (std::uint64_t seed = 1; seed <= 400; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Simulation simulation(seed);
    for (int round = 0; round < 4000; ++round) {
      if (simulation.live.size() < 40 && simulation.random.below(4) == 0) simulation.arrive();
      if (simulation.random.below(30) == 0) simulation.disturb();
      ASSERT_NO_FATAL_FAILURE(simulation.step());
    }
    for (auto& [key, sequence] : simulation.live) {
      sequence.paused = false;
      simulation.scheduler.set_paused(key, false);
    }
    // Nothing starves: with nobody paused every step does something until all have ended.
    while (!simulation.live.empty()) {
      ASSERT_NO_FATAL_FAILURE(simulation.step());
      ASSERT_LE(simulation.idle, 1U);
    }
    EXPECT_EQ(simulation.ended + simulation.cancelled, simulation.arrived + simulation.forked);
    EXPECT_EQ(simulation.scheduler.used_cells(), 0U);
    EXPECT_EQ(simulation.scheduler.waiting(), 0U);
    preemptions += simulation.preemptions;
    forks += simulation.forked;
    cancels += simulation.cancelled;
  }
  // The simulation walked the paths that it is about.
  EXPECT_GT(preemptions, 1000U);
  EXPECT_GT(forks, 1000U);
  EXPECT_GT(cancels, 100U);
}

}  // namespace
}  // namespace autoglm::engine
