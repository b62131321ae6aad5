#include "engine/scheduler/step_threads.h"

#include "base/assert.h"

#include <algorithm>
#include <cmath>

namespace autoglm::engine {

namespace {

// Pairs of steps, one by each number of threads, after which a trial is decided; and the minimum of pairs
// when one number is clearly slower, by this factor.
constexpr std::uint32_t kPairs = 6;
constexpr std::uint32_t kEarlyPairs = 2;
constexpr double kClearly = 1.3;
// A first step this much slower than usual ends a trial.
constexpr double kHopeless = 1.6;
// A number of threads must be better by this factor to be taken: otherwise noise alone would move the number.
constexpr double kBetter = 0.97;
// The first and the longest pause between trials. Pauses double with each trial that changes nothing.
constexpr Duration kFirstPause = std::chrono::milliseconds(250);
constexpr Duration kLastPause = std::chrono::seconds(4);
// The minimum of steps between trials, so that trials cost a small share however long steps are.
constexpr int kStepsBetween = 64;
// After a change the pause is divided by this, and not skipped: the change may only seem to be one.
constexpr int kHaste = 2;
// The largest distance of a trial from the current number, in entries of the ladder.
constexpr std::size_t kFurthest = 4;
// Steps before the first trial, and after a change: until then the usual time is not known.
constexpr std::uint32_t kSettled = 8;
// The pace: the weight of the newest step, and how far the pace strays before something must have changed. It
// also strays a good deal when requests of another kind arrive.
constexpr double kNewest = 0.25;
constexpr double kSlower = 1.5;
constexpr double kFaster = 0.6;
// The most that one step's pace counts for, so that a page fault or a stopped process is no change.
constexpr double kMostPace = 3;
// Kernels update a running thread's CPU time every 1 to 10 ms, so it is summed over this time.
constexpr Duration kWindow = std::chrono::milliseconds(50);
// The share of a CPU that the rest of the process may use before the CPU counts as filled.
constexpr double kSpare = 0.75;

/// From the most to the least: one fewer, then seven eighths of the number before, and at least one fewer
/// each time.
std::vector<std::uint32_t> ladder(ThreadRange range) {
  std::vector<std::uint32_t> numbers;
  for (std::uint32_t n = range.most; n > range.least;) {
    numbers.push_back(n);
    n = std::max(range.least, n == range.most ? n - 1 : std::min(n - 1, n * 7 / 8));
  }
  numbers.push_back(range.least);
  return numbers;
}

}  // namespace

StepThreads::StepThreads(ThreadRange range) : range_(range), numbers_(ladder(range)), pause_(kFirstPause) {
  AUTOGLM_ASSERT(range.least >= 1 && range.least <= range.most, "no such range of threads");
}

std::uint32_t StepThreads::plan(Duration expected, MonotonicTime now) {
  if (last_trial_ == MonotonicTime{}) wait(expected, now);
  if (!trial_ && steps_since_ >= kSettled && now >= next_trial_) begin_trial();
  if (!trial_) return current();
  return trial_->other.steps <= trial_->own.steps ? numbers_[trial_->at] : current();
}

StepThreads::Lesson StepThreads::observe(std::uint32_t threads, Duration expected, const StepTime& took,
                                         MonotonicTime now) {
  if (numbers_.size() == 1 || expected <= Duration::zero()) return {};
  const double slowness = to_seconds(took.wall) / to_seconds(expected);
  const bool usual = threads == current();
  watch_the_rest(threads, expected, took, now);
  if (!trial_) {
    ++steps_since_;
    if (usual) watch_pace(slowness);
    return {.usual = usual};
  }
  Tally& tally = usual ? trial_->own : trial_->other;
  ++tally.steps;
  tally.slowness += std::min(slowness, 2 * kMostPace);
  Lesson lesson = judge(expected, now);
  lesson.usual = usual && lesson.new_pace == 1.0;
  return lesson;
}

/// Measures the CPU use of threads other than this engine's; it cannot be seen while these fill all CPUs.
void StepThreads::watch_the_rest(std::uint32_t threads, Duration expected, const StepTime& took,
                                 MonotonicTime now) {
  window_.wall += took.wall;
  window_.cpu += took.cpu - took.wall * threads;
  if (window_.wall < kWindow) return;
  const double busy = std::max(0.0, to_seconds(window_.cpu) / to_seconds(window_.wall));
  window_ = {};
  const auto filled = std::min(static_cast<std::uint32_t>(busy + 1 - kSpare), range_.most - range_.least);
  const auto allowed = std::ranges::find_if(numbers_, [&](auto n) { return n <= range_.most - filled; });
  const auto cap = static_cast<std::size_t>(allowed - numbers_.begin());
  const bool lifted = cap < cap_;
  cap_ = cap;
  if (at_ < cap_) {
    at_ = cap_;
    end_trial(true, expected, now);
  } else if (lifted) {
    hurry(-1);
  }
}

void StepThreads::watch_pace(double slowness) {
  pace_ += kNewest * (std::min(slowness, kMostPace) - pace_);
  if (steps_since_ < kSettled) return;
  if (pace_ > kSlower) hurry(1);
  if (pace_ < kFaster) hurry(-1);
}

/// Begins a trial in this direction as soon as possible.
void StepThreads::hurry(int direction) {
  direction_ = direction;
  distance_ = 1;
  next_trial_ =
      std::min(next_trial_, last_trial_ + std::max(kFirstPause, (next_trial_ - last_trial_) / kHaste));
}

std::optional<std::size_t> StepThreads::neighbour(int direction, std::size_t distance) const {
  const std::size_t below = numbers_.size() - 1 - at_;
  if (direction > 0) return below == 0 ? std::nullopt : std::optional(at_ + std::min(distance, below));
  return at_ <= cap_ ? std::nullopt : std::optional(at_ - std::min(distance, at_ - cap_));
}

void StepThreads::begin_trial() {
  auto to = neighbour(direction_, distance_);
  if (!to) {
    direction_ = -direction_;
    to = neighbour(direction_, distance_);
  }
  if (to) trial_ = Trial{.at = *to};
}

StepThreads::Lesson StepThreads::judge(Duration expected, MonotonicTime now) {
  const Tally& other = trial_->other;
  const Tally& own = trial_->own;
  if (other.steps == 1 && own.steps == 0 && other.mean() > kHopeless * pace_) {
    end_trial(false, expected, now);
    return {};
  }
  if (own.steps < other.steps || own.steps < kEarlyPairs) return {};
  const double ratio = other.mean() / own.mean();
  const bool clear = ratio > kClearly || ratio < 1 / kClearly;
  if (own.steps < kPairs && !clear) return {};
  const bool won = ratio < kBetter;
  if (won) at_ = trial_->at;
  end_trial(won, expected, now);
  return {.new_pace = won ? ratio : 1.0};
}

void StepThreads::end_trial(bool won, Duration expected, MonotonicTime now) {
  trial_.reset();
  steps_since_ = 0;
  pace_ = 1;
  if (won) {
    pause_ = kFirstPause;
  } else {
    pause_ = std::min(2 * pause_, kLastPause);
    // The next trial goes the other way, later ones further away: a near number may only just be no better.
    if (direction_ < 0) distance_ = distance_ < kFurthest ? 2 * distance_ : 1;
    direction_ = -direction_;
  }
  wait(expected, now);
}

void StepThreads::wait(Duration expected, MonotonicTime now) {
  last_trial_ = now;
  next_trial_ = now + std::max(pause_, kStepsBetween * expected);
}

}  // namespace autoglm::engine
