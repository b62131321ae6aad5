#pragma once

#include "base/clock.h"
#include "base/strong_id.h"

#include <cstdint>
#include <deque>
#include <unordered_map>
#include <vector>

namespace autoglm::engine {

using SequenceKey = StrongId<struct SequenceKeyTag>;

struct SchedulerLimits {
  std::uint32_t max_sequences = 32;                     ///< running at a time
  std::uint32_t cache_cells = 8192;                     ///< tokens of all running sequences together
  std::uint32_t max_batch = 512;                        ///< tokens of one step
  Duration max_stall = std::chrono::milliseconds(100);  ///< that one step may take while others wait for it
};

/// Decides what the next step computes. Pure: no clock, no I/O, no tokens, only their counts; so it is
/// simulated by the million. Belongs to one thread.
///
/// A sequence is a number of tokens, of which some are in the cache ("computed"). Whatever is missing is
/// work: one token for a sequence that generates, many for a prompt, or for a sequence that was preempted and
/// has to be computed again. Rules, in order:
///  1. Waiting sequences are admitted first come, first served, while slots and cells last.
///  2. When the cache overflows, the youngest running sequence goes back to the head of the queue. The
///     oldest never does, so there is always progress.
///  3. A step takes the missing token of every generating sequence, and then prompt tokens, oldest first, as
///     many as fit into `max_stall` by what steps have been measured to take.
class Scheduler {
 public:
  struct Slice {
    SequenceKey sequence;
    std::uint32_t first = 0;  ///< index of the first token to compute
    std::uint32_t count = 0;
    bool completes = false;  ///< reaches the last token: a next one is to be chosen
  };
  struct Step {
    std::vector<SequenceKey> preempted;  ///< their cells are to be dropped before the step
    std::vector<SequenceKey> admitted;
    std::vector<Slice> slices;
    std::uint32_t decode_rows = 0;
    std::uint32_t prefill_rows = 0;
  };

  explicit Scheduler(const SchedulerLimits& limits) : limits_(limits) {}

  /// A new sequence of `tokens` > 0, at most `cache_cells`, which will fork into `slots` ≤ max_sequences.
  void add(SequenceKey key, std::uint32_t tokens, std::uint32_t slots);
  /// Ends a sequence, wherever it is.
  void remove(SequenceKey key);
  /// One more token for a sequence whose slice completed.
  void append(SequenceKey key);
  /// `child` continues from `parent`'s cells, taking one of its slots. Only right behind a completed slice.
  void fork(SequenceKey parent, SequenceKey child);
  /// A paused sequence keeps its cells and gets no work.
  void set_paused(SequenceKey key, bool paused);

  Step plan();
  /// The step was done and took this long.
  void complete(const Step& step, Duration took);

  std::size_t running() const { return running_.size(); }
  std::size_t waiting() const { return waiting_.size(); }
  std::uint32_t used_cells() const;
  std::uint64_t missing_prompt_tokens() const;
  Duration decode_step_time() const { return decode_time_; }

 private:
  struct Sequence {
    SequenceKey key;
    std::uint32_t tokens = 0;
    std::uint32_t computed = 0;
    std::uint32_t slots = 1;
    bool paused = false;
    std::int32_t group = -1;   // cells shared with others that forked from the same prompt
    std::uint32_t shared = 0;  // how many of its tokens those are
  };
  struct Group {
    std::uint32_t members = 0;
    std::uint32_t cells = 0;
  };

  Sequence* find_running(SequenceKey key);
  void leave_group(Sequence& sequence);
  std::uint32_t committed_cells() const;
  std::uint32_t used_slots() const;
  void admit(Step& step);
  void preempt(Step& step);
  std::uint32_t prefill_budget(const Step& step) const;

  SchedulerLimits limits_;
  std::vector<Sequence> running_;  // oldest first
  std::deque<Sequence> waiting_;   // next first
  std::vector<Group> groups_;
  Duration decode_time_{0};                               // of a step without prompts, smoothed
  Duration prefill_time_ = std::chrono::milliseconds(1);  // of one prompt token, smoothed
};

}  // namespace autoglm::engine
