#pragma once

#include "engine/kv/kv_cache.h"
#include "engine/scheduler/fair_queue.h"
#include "engine/scheduler/sequence_spec.h"
#include "engine/scheduler/shares/share_book.h"
#include "engine/scheduler/step_cost.h"
#include "engine/scheduler/step_threads.h"

#include <cstdint>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

namespace autoglm::engine {

struct SchedulerLimits {
  std::uint32_t max_sequences = 32;  ///< running at the same time
  std::uint32_t max_batch = 512;     ///< tokens of one step
  std::uint32_t tile_rows = 0;       ///< see StepperFacts
  ThreadRange threads;               ///< the range for computing a step
  /// How long a step may take while other requests wait for it; less while streams run fast.
  Duration max_stall = std::chrono::milliseconds(200);
  /// Tokens that may be saved, to be restored instead of computed again: of preempted sequences, and of
  /// prefixes that the cache has no room for.
  std::uint64_t saved_tokens = 0;
  KvLimits kv;  ///< at least two ids per max_sequences, if prefixes are kept
};

/// Decides what the next step computes. Pure; the time is passed in. Belongs to one thread.
/// A sequence is a list of tokens, of which some are in the cache ("computed"). The missing tokens are its
/// work: one token for a sequence that generates, many for a prompt or for a sequence that was preempted.
/// Rules, in order:
///  1. When the cache overflows, the least important sequence goes back to the queue: the youngest of the
///     lowest priority. The most important one never does, so there is always progress. Its computed tokens
///     are saved, if there is room for them, and restored when it comes back.
///  2. Waiting sequences are admitted in the FairQueue's order while slots and cells last. A higher priority
///     takes them from a lower one. A sequence whose beginning another one is just computing waits for it.
///  3. A step takes the missing token of every generating sequence, and then prompt tokens, by priority and
///     age, as many as fit the time that steps are measured to take. Streams stand still, for a while, for
///     prompts of a higher priority, and while more prompts are read than streams run.
/// This holds within a group. Among groups that own shares (ShareBook) turns decide on sequences and prompts;
/// a group below its share takes sequences from those above; no stream stands still for another group's
/// prompts, which take no more of a step's time than the streams' shares leave.
class Scheduler {
 public:
  struct Slice {
    SequenceKey sequence;
    GroupIndex group = kNoGroup;
    std::int32_t slot = 0;    ///< the stepper's sequence id
    std::uint32_t first = 0;  ///< index of the first token to compute
    std::uint32_t count = 0;
    bool completes = false;  ///< includes the last token: the next one is to be chosen
  };
  struct Admission {
    SequenceKey sequence;
    std::uint32_t cached = 0;    ///< tokens that need not be computed, since another sequence computed them
    std::uint32_t reloaded = 0;  ///< of these, tokens that had been spilled
    std::uint32_t restored = 0;  ///< tokens that need not be computed, since they were saved
  };
  struct Step {
    KvOperations operations;  ///< to be applied before the step, even if there is nothing to compute
    std::vector<SequenceKey> preempted;
    std::vector<Admission> admitted;
    std::vector<Slice> slices;
    std::uint32_t decode_rows = 0;
    std::uint32_t prefill_rows = 0;
    std::uint64_t prefill_cells = 0;  ///< cells that these rows read
    std::uint32_t threads = 1;        ///< threads for the step
    Duration expected{};              ///< estimated duration

    StepRows rows() const { return {decode_rows, prefill_rows, prefill_cells}; }
  };

  explicit Scheduler(const SchedulerLimits& limits);

  /// Holds at once, also for sequences that wait. Sequences of a group that is gone share nothing any more.
  void change_shares(const std::vector<GroupShare>& groups);
  const ShareBook& shares() const { return shares_; }

  /// Adds a sequence of at least one token; it must fit the cache, and its slots must fit max_sequences.
  void add(const SequenceSpec& spec);
  /// Ends a sequence in any state.
  void remove(SequenceKey key);
  /// Records one more token, already in the sequence's list, for a sequence whose slice completed.
  void append(SequenceKey key);
  /// `child` goes on from `parent`'s cells and takes one of its slots. Only directly after a completed slice.
  void fork(SequenceKey parent, SequenceKey child, const std::vector<TokenId>* tokens);
  /// A paused sequence keeps its cells and gets no work.
  void set_paused(SequenceKey key, bool paused);
  Step plan(MonotonicTime now);
  /// The step was done, just before `now`, and took this long.
  void complete(const Step& step, const StepTime& took, MonotonicTime now);
  /// The step was not done: removes what it may have left in the cache.
  void revert(const Step& step);

  std::size_t running() const { return running_.size(); }
  std::size_t waiting() const { return waiting_.size(); }
  const KvCache& cache() const { return cache_; }
  std::uint64_t missing_prompt_tokens() const;
  std::uint64_t saved_tokens() const { return saved_tokens_; }
  std::uint32_t threads() const { return threads_.current(); }  ///< that compute steps at present
  /// The time from token to token of generating sequences while no prompt is read. Zero: none yet.
  Duration decode_step_time() const {
    return decode_rows_ == 0 ? Duration::zero() : cost_.step({.decode = decode_rows_});
  }

 private:
  struct Sequence {
    SequenceSpec spec;
    std::uint64_t order = 0;               // of arrival
    std::uint32_t prompt = 0;              // tokens that it came with
    std::uint32_t expected = 0;            // tokens of its answer that its tenant is charged for at first
    std::optional<std::uint64_t> charged;  // its tenant, in this era of the queue
    KvCache::Lease lease;
    std::uint64_t state = 0;         // saved at the last preemption; 0: none
    std::uint32_t saved_tokens = 0;  // in `state`
    bool paused = false;
    MonotonicTime last_work;

    std::uint32_t size() const { return static_cast<std::uint32_t>(spec.tokens->size()); }
    std::uint32_t missing() const { return size() - lease.computed; }
    std::uint32_t answered() const { return size() - prompt; }
    bool generates() const { return !paused && missing() == 1; }
  };
  /// Why a waiting sequence is passed over: `blocker` is computing tokens that it needs, too.
  struct Blocked {
    SequenceKey blocker;
    std::uint32_t until = 0;  // tokens that the blocker must have computed
  };
  struct Waiting {
    Sequence sequence;
    std::optional<Blocked> blocked;
    std::optional<MonotonicTime> overtaken;  // since when others have been admitted in its stead
  };

  Sequence* find_running(SequenceKey key);
  void enqueue(Sequence sequence);
  void settle(const Sequence& sequence);
  std::uint32_t committed_cells() const;
  std::uint32_t used_slots() const;
  void preempt(std::size_t position, Step& step);
  void save(Sequence& sequence);
  void restore(Sequence& sequence);
  void drop_state(Sequence& sequence);
  /// Gives prefixes the share of saved tokens that preempted sequences do not use.
  void share_saved_tokens() {
    if (limits_.kv.keep_prefixes) cache_.spill(limits_.saved_tokens - saved_tokens_, operations_);
  }
  std::optional<std::size_t> least_important(std::optional<GroupIndex> group, const std::vector<bool>& gone,
                                             std::uint32_t most_slots = kUnlimitedRows) const;
  bool has_groups() const { return shares_.divides(); }
  std::vector<GroupLoad> loads() const;
  std::optional<QueueEntry> next_waiting(MonotonicTime now, const Step& step,
                                         std::span<const SequenceKey> passed);
  std::uint32_t shared_cells(const Sequence& sequence, const std::vector<bool>& gone) const;
  std::optional<std::size_t> victim_for(const SequenceSpec& spec, std::vector<GroupLoad> loads,
                                        const std::vector<bool>& gone) const;
  std::optional<std::vector<SequenceKey>> victims_for(SequenceKey key) const;
  bool admit(SequenceKey key, MonotonicTime now, Step& step);
  static bool keeps_turn(const Waiting& waiting, MonotonicTime now);
  void relieve(Step& step);
  void admit(MonotonicTime now, Step& step);
  bool try_admit(SequenceKey key, MonotonicTime now, Step& step);
  bool waits_for_prefix(SequenceKey key);
  std::vector<Sequence*> readers();
  void take_turns(std::vector<Sequence*>& readers) const;
  bool is_starting(const std::vector<Sequence*>& readers) const;
  Duration step_time_beside_streams(const Step& step, const std::vector<Sequence*>& readers) const;
  void note_unserved(const Step& step);
  std::uint32_t prefill_budget(const Step& step, const std::vector<Sequence*>& readers, Duration still) const;
  Duration add_decode(MonotonicTime now, const std::vector<Sequence*>& readers, Step& step);
  void add_prefill(MonotonicTime now, const std::vector<Sequence*>& readers, Duration still, Step& step);

  SchedulerLimits limits_;
  KvCache cache_;
  KvOperations operations_;  // not yet handed out
  std::vector<Sequence> running_;
  ShareBook shares_;
  std::vector<FairQueue> queues_ = std::vector<FairQueue>(1);  // by group
  std::vector<bool> unserved_;                                 // groups that want more than the step has
  std::vector<std::uint32_t> needs_;                           // sequences that groups' next requests take
  std::unordered_map<SequenceKey, Waiting> waiting_;           // the sequences that queues_ order
  std::uint64_t arrivals_ = 0;
  std::uint64_t states_ = 0;        // number of states saved so far
  std::uint64_t saved_tokens_ = 0;  // at present
  StepCost cost_;
  StepThreads threads_;
  std::uint32_t decode_rows_ = 0;  // of the last step that had any
  double usual_answer_ = 0;        // tokens of an answer, on average
};

}  // namespace autoglm::engine
