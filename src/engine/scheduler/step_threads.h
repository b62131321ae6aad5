#pragma once

#include "base/clock.h"

#include <cstdint>
#include <optional>
#include <vector>

namespace autoglm::engine {

/// How many threads a step may be computed by. Equal bounds: always so many.
struct ThreadRange {
  std::uint32_t least = 1;
  std::uint32_t most = 1;
};

/// What one step took.
struct StepTime {
  Duration wall = Duration::zero();
  Duration cpu = Duration::zero();  ///< of all threads of this process meanwhile
};

/// Decides how many threads compute the next step.
///
/// The threads of a step meet at a barrier several hundred times a token. While each has a CPU to itself,
/// more of them are faster, as far as the memory's bandwidth reaches. Where event loops, other processes or a
/// quota keep a CPU busy, the step waits for the thread that does not run, and fewer threads are faster. Two
/// things decide:
///  - What is seen. CPU time that this process used beyond its compute threads' belongs to event loops, the
///    pool, other engines: threads for CPUs that these fill are not asked for.
///  - What is tried. Now and then steps are computed alternately by another number of threads, and the
///    better number stays. A trial that loses clearly ends with its first step, and the next one waits twice
///    as long. A sudden change in what steps take begins a trial at once.
///
/// Pure: `now` is handed in. Belongs to the engine's thread.
class StepThreads {
 public:
  explicit StepThreads(ThreadRange range);

  /// For a step that is expected to take so long.
  std::uint32_t plan(Duration expected, MonotonicTime now);

  /// What an observed step means for those who learn what steps cost.
  struct Lesson {
    bool usual = true;      ///< computed as steps are at present: learn from it
    double new_pace = 1.0;  ///< from now on steps take this many times what they took before
  };
  /// A step by `threads`, of which `plan` was told what was expected.
  Lesson observe(std::uint32_t threads, Duration expected, const StepTime& took, MonotonicTime now);

  /// The number that steps are computed by, trials aside.
  std::uint32_t current() const { return numbers_[at_]; }

 private:
  /// Of steps by one number, relative to what was expected.
  struct Tally {
    std::uint32_t steps = 0;
    double slowness = 0;
    double mean() const { return slowness / steps; }
  };
  struct Trial {
    std::size_t at = 0;  ///< in `numbers_`
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
  std::vector<std::uint32_t> numbers_;  ///< that are tried, the most first
  std::size_t at_ = 0;                  ///< in `numbers_`
  std::size_t cap_ = 0;  ///< in `numbers_`: no more than these, as the rest of the process is busy
  std::optional<Trial> trial_;
  int direction_ = 1;  ///< of the next trial in `numbers_`: 1 for fewer threads
  std::size_t distance_ = 1;
  Duration pause_;                 ///< between trials
  MonotonicTime last_trial_{};     ///< when it ended
  MonotonicTime next_trial_{};     ///< not before
  std::uint32_t steps_since_ = 0;  ///< the last trial or change
  double pace_ = 1;                ///< what steps took lately, relative to what was expected
  StepTime window_;                ///< over which the rest of the process is watched; its cpu is the rest's
};

}  // namespace autoglm::engine
