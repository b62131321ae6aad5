#include "engine/scheduler/scheduler.h"

#include "base/random.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>

namespace autoglm::engine {
namespace {

using namespace std::chrono_literals;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || \
    (defined(__has_feature) && (__has_feature(address_sanitizer) || __has_feature(thread_sanitizer)))
constexpr int kLess = 40;  // under sanitizers, which are slow
#else
constexpr int kLess = 1;
#endif

/// How large requests are, and how many there are at a time.
struct Load {
  std::uint64_t prompt;  // at most; a tenth of the prompts are nine times as long
  std::uint64_t answer;
  std::size_t live;
};

/// Requests of every size, priority and tenant come, generate, fork, are cancelled and paused, against a
/// cache far too small for them. Many begin alike.
struct Simulation {
  Simulation(std::uint64_t seed, Load load_of_it) : load(load_of_it), random(seed), scheduler(limits) {}

  struct Live {
    std::unique_ptr<std::vector<TokenId>> tokens;
    std::uint32_t left;  // to generate
    std::uint32_t forks;
    MonotonicTime since;  // waiting to be admitted
    bool paused = false;
  };

  void arrive() {
    const auto count =
        1 + static_cast<std::uint32_t>(random.below(load.prompt * (random.below(10) == 0 ? 9 : 1)));
    const auto slots = 1 + static_cast<std::uint32_t>(random.below(8) == 0 ? random.below(4) : 0);
    const SequenceKey key{++last_key};
    // As the engine does: prompt and answer fit the context, which fits the cache with the forks' blocks.
    const std::uint32_t room = limits.kv.cells - count - 16 * slots;
    const auto left =
        1 + static_cast<std::uint32_t>(random.below(std::min<std::uint64_t>(load.answer, room)));
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
    live[key] = {std::move(tokens), left, slots - 1, now};
    ++arrived;
  }

  void step() {
    const auto planned = scheduler.plan(now);
    preemptions += planned.preempted.size();
    for (const auto& key : planned.preempted) live.at(key).since = now;
    for (const auto& admission : planned.admitted) {
      hits += admission.cached > 0 ? 1 : 0;
      restored += admission.restored > 0 ? 1 : 0;
      ASSERT_LE(now - live.at(admission.sequence).since, kPatience) << "starved";
    }
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
    // Once the scheduler has learnt the cost of a step, a stream waits no longer than this for prompts.
    if (planned.decode_rows > 0 && planned.prefill_rows > 0 && ++mixed > 100)
      ASSERT_LE(took, limits.max_stall * 5 / 4);
    if (random.below(50) == 0) {  // an aborted step: as if nothing had happened
      scheduler.revert(planned);
      ++reverted;
      return;
    }
    scheduler.complete(planned, {.wall = took, .cpu = took}, now);
    ASSERT_LE(scheduler.cache().used_cells() + scheduler.cache().kept_cells(), limits.kv.cells);
    ASSERT_LE(scheduler.running(), limits.max_sequences);
    ASSERT_LE(scheduler.saved_tokens() + scheduler.cache().spilled_tokens(), limits.saved_tokens);
    for (const auto& slice : planned.slices) {
      if (slice.completes) advance(slice.sequence);
    }
    idle = planned.slices.empty() ? idle + 1 : 0;
  }

  void advance(SequenceKey key) {
    while (live[key].forks > 0) {
      --live[key].forks;
      const SequenceKey child{++last_key};
      live[child] = {std::make_unique<std::vector<TokenId>>(*live[key].tokens), live[key].left, 0, now};
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

  void resume_all() {
    for (auto& [key, sequence] : live) {
      sequence.paused = false;
      scheduler.set_paused(key, false);
    }
  }

  void run(int rounds) {
    for (int round = 0; round < rounds; ++round) {
      while (live.size() < load.live && random.below(4) == 0) arrive();
      if (random.below(30) == 0) disturb();
      if (random.below(2000) == 0) resume_all();  // else only paused requests would be left
      ASSERT_NO_FATAL_FAILURE(step());
    }
    resume_all();
    idle = 0;
    // Nothing starves: with no request paused, every step makes progress until all have ended.
    while (!live.empty()) {
      ASSERT_NO_FATAL_FAILURE(step());
      ASSERT_LE(idle, 1U);
    }
    EXPECT_EQ(ended + cancelled, arrived + forked);
    EXPECT_EQ(scheduler.cache().used_cells(), 0U);
    EXPECT_EQ(scheduler.waiting(), 0U);
    EXPECT_EQ(scheduler.saved_tokens(), 0U);
  }

  /// A priority of 0 grows to 9 in nine times ten seconds, and then it is a matter of turns.
  static constexpr Duration kPatience = 120s;

  Load load;
  SchedulerLimits limits{.max_sequences = 8,
                         .max_batch = 512,
                         .max_stall = 10ms,
                         .saved_tokens = 700,
                         .kv = {.cells = 1024, .sequences = 20}};
  Random random;
  Scheduler scheduler;
  MonotonicTime now{};
  std::map<SequenceKey, Live> live;
  std::uint64_t last_key = 0;
  std::uint64_t arrived = 0, ended = 0, cancelled = 0, forked = 0, preemptions = 0, hits = 0, reverted = 0,
                idle = 0, mixed = 0, restored = 0;
};

/// Shards, so that they run beside one another.
class SchedulerSimulation : public ::testing::TestWithParam<std::uint64_t> {
 protected:
  void run(std::uint64_t seeds, int rounds, Load load) {
    for (std::uint64_t i = 0; i < seeds; ++i) {
      const std::uint64_t seed = 1 + GetParam() * seeds + i;
      SCOPED_TRACE("seed " + std::to_string(seed));
      Simulation simulation(seed, load);
      ASSERT_NO_FATAL_FAILURE(simulation.run(rounds));
      requests += simulation.arrived;
      preemptions += simulation.preemptions;
      forks += simulation.forked;
      cancels += simulation.cancelled;
      hits += simulation.hits;
      reverted += simulation.reverted;
      mixed += simulation.mixed;
      restored += simulation.restored;
    }
    // The simulation must have taken the paths that it is about.
    for (const std::uint64_t count : {preemptions, forks, cancels, hits, reverted, mixed, restored})
      EXPECT_GE(count, 100U / kLess);
  }

  std::uint64_t requests = 0, preemptions = 0, forks = 0, cancels = 0, hits = 0, reverted = 0, mixed = 0,
                restored = 0;
};

TEST_P(SchedulerSimulation, KeepsEveryBoundAndEndsEverySequence) {
  run(50, 4000, {.prompt = 100, .answer = 80, .live = 40});
}

TEST_P(SchedulerSimulation, OfShortRequestsByTheMillion) {
  run(400 / kLess, 24'000, {.prompt = 30, .answer = 4, .live = 60});
  EXPECT_GE(requests, 2'500'000U / kLess);
}

INSTANTIATE_TEST_SUITE_P(Shards, SchedulerSimulation, ::testing::Range<std::uint64_t>(0, 4));

}  // namespace
}  // namespace autoglm::engine
