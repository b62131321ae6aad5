#pragma once

#include "base/clock.h"

#include <cstdint>
#include <optional>
#include <vector>

namespace autoglm::engine {

/// The range of threads that may compute a step. Equal bounds fix the number.
struct ThreadRange {
  std::uint32_t least = 1;
  std::uint32_t most = 1;
};

/// The measured times of one step.
struct StepTime {
  Duration wall = Duration::zero();
  Duration cpu = Duration::zero();  ///< of all threads of this process during the step
};

/// Decides how many threads compute the next step.
///
/// The threads of a step meet at a barrier several hundred times a token. While each has a CPU to itself,
/// more threads are faster, up to the memory's bandwidth. When event loops, other processes or a quota keep a
/// CPU busy, the step waits for the thread that does not run, and fewer threads are faster. Two things
/// decide:
///  - Observation. CPU time that this process used beyond its compute threads' belongs to event loops, the
///    pool and other engines: no threads are used for the CPUs that these fill.
///  - Trial. From time to time steps are computed alternately by another number of threads, and the
///    better number stays. A trial that loses clearly ends with its first step, and the next one waits twice
///    as long. A sudden change in the time of steps begins a trial at once.
///
/// Pure: `now` is passed in. Belongs to the engine's thread.
class StepThreads {
 public:
  explicit StepThreads(ThreadRange range);

  /// The number of threads for a step that is expected to take `expected`.
  std::uint32_t plan(Duration expected, MonotonicTime now);

  /// What an observed step means for the estimate of costs.
  struct Lesson {
    bool usual = true;      ///< computed as steps are at present: learn from it
    double new_pace = 1.0;  ///< from now on steps take this many times as long as before
  };
  /// Reports a step on `threads` threads, for which `plan` was given `expected`.
  Lesson observe(std::uint32_t threads, Duration expected, const StepTime& took, MonotonicTime now);

  /// The current number of threads, not counting trials.
  std::uint32_t current() const { return numbers_[at_]; }

 private:
  /// Steps with one number of threads, relative to the expected time.
  struct Tally {
    std::uint32_t steps = 0;
    double slowness = 0;
    double mean() const { return slowness / steps; }
  };
  struct Trial {
    std::size_t at = 0;  ///< index in `numbers_`
    Tally other;
    Tally own;
  };

  void watch_the_rest(std::uint32_t threads, Duration expected, const StepTime& took, MonotonicTime now);
  void watch_pace(double slowness);
  void begin_trial();
  std::optional<std::size_t> neighbour(int direction, std::size_t distance) const;
  Lesson judge(Duration expected, MonotonicTime now);
  void end_trial(bool won, Duration expected, MonotonicTime now);
  void wait(Duration expected, MonotonicTime now);
  void hurry(int direction);

  ThreadRange range_;
  std::vector<std::uint32_t> numbers_;  ///< numbers to try, the largest first
  std::size_t at_ = 0;                  ///< index in `numbers_`
  std::size_t cap_ = 0;  ///< index in `numbers_`: the upper limit while the rest of the process is busy
  std::optional<Trial> trial_;
  int direction_ = 1;  ///< of the next trial in `numbers_`: 1 for fewer threads
  std::size_t distance_ = 1;
  Duration pause_;                 ///< between trials
  MonotonicTime last_trial_{};     ///< when it ended
  MonotonicTime next_trial_{};     ///< not before
  std::uint32_t steps_since_ = 0;  ///< since the last trial or change
  double pace_ = 1;                ///< recent time of steps, relative to the expected
  StepTime window_;                ///< the watched period; its cpu is that of the rest of the process
};

}  // namespace autoglm::engine
