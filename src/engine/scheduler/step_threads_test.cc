#include "engine/scheduler/step_threads.h"

#include "base/random.h"
#include "engine/scheduler/step_cost.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <limits>

namespace autoglm::engine {
namespace {

using namespace std::chrono_literals;

Duration of_seconds(double seconds) {
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
}

/// A machine in virtual time, with the other work that keeps its CPUs busy.
struct Machine {
  std::uint32_t cpus = 2;
  double serial = 0.2;  ///< the part of a single-threaded step that more threads do not speed up
  double crowding = 0;  ///< for each thread beyond `bandwidth` a step takes this much longer
  std::uint32_t bandwidth = 1000;
  double stall = 3;  ///< factor on a step's time when fewer CPUs are free than the step has threads
  double noise = 0.1;
  double quota = 1e9;  ///< CPUs for this process, in every tenth of a second
  std::function<double(double)> loops = [](double) {
    return 0.0;
  };  ///< CPUs that the rest of this process keeps busy
  std::function<double(double)> others = [](double) { return 0.0; };  ///< CPUs that other processes keep busy
  Duration step = 12ms;                                               ///< on one thread

  Random random{11};
  double now = 0;
  double spent = 0;  ///< of the quota in this period
  double period_end = 0.1;

  StepTime run(std::uint32_t threads) {
    double pace = serial + (1 - serial) / threads;
    if (threads > bandwidth) pace *= 1 + crowding * (threads - bandwidth);
    const double busy = loops(now) + others(now);
    if (threads + busy > cpus + 0.5) pace *= stall;
    double wall = to_seconds(step) * pace * (1 + noise * (2 * random.uniform() - 1));
    const double cpu_rate = threads + std::min(loops(now), std::max(0.0, cpus - threads - others(now)));
    const double cpu = wall * cpu_rate;
    wall += throttled(wall, cpu);
    now += wall;
    return {.wall = of_seconds(wall), .cpu = of_seconds(cpu)};
  }

  /// How long the step stands still because the quota is used up.
  double throttled(double wall, double cpu) {
    double stood = 0;
    for (double left = wall, rate = cpu / wall; left > 0;) {
      const double runs =
          std::min({left, period_end - (now + wall - left + stood), (quota * 0.1 - spent) / rate});
      left -= runs;
      spent += runs * rate;
      const double at = now + wall - left + stood;
      if (left <= 0) break;
      stood += std::max(0.0, period_end - at);
      period_end += 0.1;
      spent = 0;
    }
    while (now + wall + stood > period_end) {
      period_end += 0.1;
      spent = 0;
    }
    return stood;
  }
};

/// Steps per second over `seconds` of virtual time.
double fixed_speed(Machine machine, std::uint32_t threads, double seconds) {
  int steps = 0;
  for (; machine.now < seconds; ++steps) machine.run(threads);
  return steps / machine.now;
}

struct Decided {
  double speed = 0;
  std::uint32_t last = 0;
};
Decided decided_speed(Machine machine, double seconds) {
  StepThreads threads({.least = 1, .most = machine.cpus});
  StepCost cost;
  const StepRows rows{.decode = 1};
  int steps = 0;
  for (; machine.now < seconds; ++steps) {
    const Duration expected = cost.step(rows);
    const std::uint32_t number = threads.plan(expected, MonotonicTime(of_seconds(machine.now)));
    EXPECT_LE(number, machine.cpus);
    EXPECT_GE(number, 1U);
    const StepTime took = machine.run(number);
    const auto lesson = threads.observe(number, expected, took, MonotonicTime(of_seconds(machine.now)));
    if (lesson.usual) cost.observe(rows, took.wall);
    if (lesson.new_pace != 1.0) cost.change_pace(lesson.new_pace);
  }
  return {steps / machine.now, threads.current()};
}

/// The decided speed as a share of the best fixed number's.
double share_of_best(const Machine& machine, double seconds = 60) {
  double best = 0;
  for (std::uint32_t n = 1; n <= machine.cpus; ++n) best = std::max(best, fixed_speed(machine, n, seconds));
  return decided_speed(machine, seconds).speed / best;
}

constexpr auto kOne = [](double) { return 1.0; };

TEST(StepThreads, AFixedNumberIsKept) {
  StepThreads threads({.least = 3, .most = 3});
  for (int i = 0; i < 1000; ++i) {
    const MonotonicTime now(i * 10ms);
    EXPECT_EQ(threads.plan(10ms, now), 3U);
    threads.observe(3, 10ms, {.wall = 50ms, .cpu = 500ms}, now);
  }
}

TEST(StepThreads, UsesAllCpusThatAreFree) {
  for (const std::uint32_t cpus : {1U, 2U, 4U, 16U}) {
    const Machine machine{.cpus = cpus, .serial = 0.02};
    EXPECT_EQ(decided_speed(machine, 30).last, cpus);
    EXPECT_GT(share_of_best(machine), 0.95) << cpus << " CPUs";
  }
}

TEST(StepThreads, LeavesTheCpuThatAnEventLoopFills) {
  const Machine machine{.loops = kOne};
  EXPECT_EQ(decided_speed(machine, 30).last, 1U);
  EXPECT_GT(share_of_best(machine), 0.95);
}

TEST(StepThreads, LeavesTheCpuThatAnotherProcessFills) {
  const Machine machine{.others = kOne};
  EXPECT_EQ(decided_speed(machine, 30).last, 1U);
  EXPECT_GT(share_of_best(machine), 0.95);
}

TEST(StepThreads, FollowsEventLoopsThatFillAndFree) {
  // Four seconds of load, four without: no fixed number is right for both.
  const auto on_and_off = [](double now) { return static_cast<int>(now / 4) % 2 == 0 ? 1.0 : 0.0; };
  EXPECT_GT(share_of_best({.loops = on_and_off}, 120), 1.1);
}

TEST(StepThreads, FollowsOtherProcessesThatComeAndGo) {
  const auto on_and_off = [](double now) { return static_cast<int>(now / 30) % 2 == 0 ? 1.0 : 0.0; };
  EXPECT_GT(share_of_best({.others = on_and_off}, 240), 1.1);
}

TEST(StepThreads, FindsWhereTheMemoryIsTheLimit) {
  for (const std::uint32_t bandwidth : {3U, 6U, 20U}) {
    const Machine machine{.cpus = 32, .serial = 0.1, .crowding = 0.05, .bandwidth = bandwidth};
    EXPECT_GT(share_of_best(machine, 120), 0.93) << bandwidth;
  }
}

TEST(StepThreads, IsNoWorseThanTheBestUnderAQuota) {
  for (const double quota : {1.0, 1.5, 1.9}) {
    Machine machine{.serial = 0.05, .quota = quota};
    EXPECT_GT(share_of_best(machine, 120), 0.95) << quota;
  }
}

TEST(StepThreads, ANoisyMachineDoesNotMisleadIt) {
  for (const double noise : {0.3, 0.6}) {
    for (std::uint64_t seed = 1; seed <= 5; ++seed) {
      const Machine machine{.serial = 0.3, .noise = noise, .random = Random{seed}};
      EXPECT_GT(share_of_best(machine, 120), 0.95) << noise << ", seed " << seed;
    }
  }
}

TEST(StepThreads, LongStepsAreTriedRarely) {
  // A prompt in pieces of two seconds, which one thread computes in nearly twice the time of two threads.
  const Machine machine{.serial = 0.05, .step = 4s};
  EXPECT_GT(share_of_best(machine, 1000), 0.95);
}

TEST(StepThreads, RequestsOfAnotherKindAreNoChange) {
  // Bursts, each of another kind: the expected time of their first steps is wrong by a factor of up to two.
  Machine machine{.serial = 0.05};
  StepThreads threads({.least = 1, .most = 2});
  int tried = 0;
  for (int i = 0; i < 4000; ++i) {
    const double wrong = i % 80 < 20 ? 2.0 : i % 80 < 40 ? 0.5 : 1.0;
    const Duration expected = of_seconds(0.006 / wrong);
    const std::uint32_t number = threads.plan(expected, MonotonicTime(of_seconds(machine.now)));
    threads.observe(number, expected, machine.run(number), MonotonicTime(of_seconds(machine.now)));
    tried += number == 1 ? 1 : 0;
  }
  EXPECT_LE(tried, 120);  // 3 %
}

TEST(StepThreads, KeepsToACeilingBelowTheCpus) {
  // MAX_WORKERS 4 on a machine of eight CPUs, with two busy event loops: two of the four are left.
  Machine machine{.cpus = 8, .loops = [](double) { return 2.0; }};
  StepThreads threads({.least = 1, .most = 4});
  for (int i = 0; i < 200; ++i) {
    const MonotonicTime now(of_seconds(machine.now));
    const std::uint32_t number = threads.plan(10ms, now);
    threads.observe(number, 10ms, machine.run(number), MonotonicTime(of_seconds(machine.now)));
  }
  EXPECT_EQ(threads.current(), 2U);
}

TEST(StepThreads, ItsTrialsAreNoLessonInWhatStepsCost) {
  Machine machine{.noise = 0};
  StepThreads threads({.least = 1, .most = 2});
  int tried = 0;
  for (int i = 0; i < 2000; ++i) {
    const Duration expected = of_seconds(0.012 * 0.6);
    const std::uint32_t number = threads.plan(expected, MonotonicTime(of_seconds(machine.now)));
    const auto lesson =
        threads.observe(number, expected, machine.run(number), MonotonicTime(of_seconds(machine.now)));
    EXPECT_EQ(lesson.usual, number == 2);
    tried += number == 1 ? 1 : 0;
  }
  EXPECT_GE(tried, 2);
  EXPECT_LE(tried, 10);  // 14 s, pauses that double from 250 ms
}

}  // namespace
}  // namespace autoglm::engine
