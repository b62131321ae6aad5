#include "engine/scheduler/scheduler.h"

#include "base/random.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>

namespace autoglm::engine {
namespace {

using namespace std::chrono_literals;

/// Requests of every size, priority and tenant come, generate, fork, are cancelled and paused, against a
/// cache far too small for them. Many begin alike.
struct Simulation {
  explicit Simulation(std::uint64_t seed) : random(seed), scheduler(limits) {}

  struct Live {
    std::unique_ptr<std::vector<TokenId>> tokens;
    std::uint32_t left;  // to generate
    std::uint32_t forks;
    bool paused = false;
  };

  void arrive() {
    const auto count = 1 + static_cast<std::uint32_t>(random.below(random.below(10) == 0 ? 900 : 100));
    const auto slots = 1 + static_cast<std::uint32_t>(random.below(8) == 0 ? random.below(4) : 0);
    const SequenceKey key{++last_key};
    // As the engine does: prompt and answer fit the context, which fits the cache with the forks' blocks.
    const std::uint32_t room = limits.kv.cells - count - 16 * slots;
    const auto left = 1 + static_cast<std::uint32_t>(random.below(std::min<std::uint64_t>(80, room)));
    auto tokens = std::make_unique<std::vector<TokenId>>(count);
    const auto family = static_cast<TokenId>(random.below(6));
    const std::uint64_t alike = random.below(2) == 0 ? 0 : random.below(count + 1);
    for (std::uint32_t i = 0; i < count; ++i)
      (*tokens)[i] = i < alike ? family : static_cast<TokenId>(1000 + random.below(1000));
    scheduler.add({.key = key,
                   .tokens = tokens.get(),
                   .slots = slots,
                   .priority = static_cast<std::uint8_t>(random.below(4) == 0 ? random.below(10) : 0),
                   .tenant = random.below(3),
                   .salt = random.below(2),
                   .arrived = now});
    live[key] = {std::move(tokens), left, slots - 1};
    ++arrived;
  }

  void step() {
    const auto planned = scheduler.plan(now);
    preemptions += planned.preempted.size();
    for (const auto& admission : planned.admitted) hits += admission.cached > 0 ? 1 : 0;
    std::uint32_t rows = 0;
    for (const auto& slice : planned.slices) {
      const auto found = live.find(slice.sequence);
      ASSERT_TRUE(found != live.end()) << "work for a sequence that has ended";
      ASSERT_FALSE(found->second.paused);
      ASSERT_GT(slice.count, 0U);
      ASSERT_EQ(slice.completes, slice.first + slice.count == found->second.tokens->size());
      rows += slice.count;
    }
    ASSERT_LE(rows, limits.max_batch);
    const Duration took = std::chrono::microseconds(500 + 100 * rows);
    now += took;
    if (random.below(50) == 0) {  // as an aborted step: nothing happened
      scheduler.revert(planned);
      ++reverted;
      return;
    }
    scheduler.complete(planned, took);
    ASSERT_LE(scheduler.cache().used_cells() + scheduler.cache().kept_cells(), limits.kv.cells);
    ASSERT_LE(scheduler.running(), limits.max_sequences);
    for (const auto& slice : planned.slices) {
      if (slice.completes) advance(slice.sequence);
    }
    idle = planned.slices.empty() ? idle + 1 : 0;
  }

  void advance(SequenceKey key) {
    while (live[key].forks > 0) {
      --live[key].forks;
      const SequenceKey child{++last_key};
      live[child] = {std::make_unique<std::vector<TokenId>>(*live[key].tokens), live[key].left, 0};
      scheduler.fork(key, child, live[child].tokens.get());
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
    sequence.tokens->push_back(static_cast<TokenId>(random.below(2)));
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

  SchedulerLimits limits{
      .max_sequences = 8, .max_batch = 128, .max_stall = 10ms, .kv = {.cells = 1024, .sequences = 20}};
  Random random;
  Scheduler scheduler;
  MonotonicTime now{};
  std::map<SequenceKey, Live> live;
  std::uint64_t last_key = 0;
  std::uint64_t arrived = 0, ended = 0, cancelled = 0, forked = 0, preemptions = 0, hits = 0, reverted = 0,
                idle = 0;
};

TEST(Scheduler, SimulationKeepsEveryBoundAndEndsEverySequence) {
  std::uint64_t preemptions = 0, forks = 0, cancels = 0, hits = 0, reverted = 0;
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
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
    simulation.idle = 0;
    // Nothing starves: with nobody paused every step does something until all have ended.
    while (!simulation.live.empty()) {
      ASSERT_NO_FATAL_FAILURE(simulation.step());
      ASSERT_LE(simulation.idle, 1U);
    }
    EXPECT_EQ(simulation.ended + simulation.cancelled, simulation.arrived + simulation.forked);
    EXPECT_EQ(simulation.scheduler.cache().used_cells(), 0U);
    EXPECT_EQ(simulation.scheduler.waiting(), 0U);
    preemptions += simulation.preemptions;
    forks += simulation.forked;
    cancels += simulation.cancelled;
    hits += simulation.hits;
    reverted += simulation.reverted;
  }
  // The simulation walked the paths that it is about.
  EXPECT_GT(preemptions, 1000U);
  EXPECT_GT(forks, 1000U);
  EXPECT_GT(cancels, 100U);
  EXPECT_GT(hits, 1000U);
  EXPECT_GT(reverted, 1000U);
}

}  // namespace
}  // namespace autoglm::engine
