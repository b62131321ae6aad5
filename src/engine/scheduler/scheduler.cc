#include "engine/scheduler/scheduler.h"

#include "base/assert.h"

#include <algorithm>

namespace autoglm::engine {

namespace {

// Cells that must be free beyond a prompt before it is admitted, for each sequence: room to generate a
// while, so that the newcomer is not preempted again at once.
constexpr std::uint32_t kHeadroom = 16;
// Less than this is not worth the step's fixed cost.
constexpr std::uint32_t kMinChunk = 8;

Duration smooth(Duration old, Duration fresh) {
  return old == Duration::zero() ? fresh : (old * 7 + fresh) / 8;
}

}  // namespace

void Scheduler::add(SequenceKey key, std::uint32_t tokens, std::uint32_t slots) {
  AUTOGLM_ASSERT(tokens > 0 && tokens <= limits_.cache_cells, "a sequence must fit the cache");
  AUTOGLM_ASSERT(slots > 0 && slots <= limits_.max_sequences, "a request must fit the slots");
  waiting_.push_back({.key = key, .tokens = tokens, .slots = slots});
}

Scheduler::Sequence* Scheduler::find_running(SequenceKey key) {
  const auto found = std::ranges::find(running_, key, &Sequence::key);
  return found == running_.end() ? nullptr : &*found;
}

void Scheduler::leave_group(Sequence& sequence) {
  if (sequence.group < 0) return;
  Group& group = groups_[static_cast<std::size_t>(sequence.group)];
  if (--group.members == 0) group.cells = 0;
  sequence.group = -1;
  sequence.shared = 0;
}

void Scheduler::remove(SequenceKey key) {
  if (Sequence* sequence = find_running(key)) {
    leave_group(*sequence);
    running_.erase(running_.begin() + (sequence - running_.data()));
    return;
  }
  std::erase_if(waiting_, [key](const Sequence& sequence) { return sequence.key == key; });
}

void Scheduler::append(SequenceKey key) {
  Sequence* sequence = find_running(key);
  AUTOGLM_ASSERT(sequence != nullptr && sequence->computed == sequence->tokens,
                 "only a completed sequence grows");
  ++sequence->tokens;
}

void Scheduler::fork(SequenceKey parent_key, SequenceKey child_key) {
  Sequence* parent = find_running(parent_key);
  AUTOGLM_ASSERT(parent != nullptr && parent->slots > 1 && parent->computed == parent->tokens,
                 "nothing to fork from");
  if (parent->group < 0) {
    auto free = std::ranges::find(groups_, 0U, &Group::members);
    if (free == groups_.end()) free = groups_.insert(groups_.end(), Group{});
    *free = {.members = 1, .cells = parent->computed};
    parent->group = static_cast<std::int32_t>(free - groups_.begin());
    parent->shared = parent->computed;
  }
  ++groups_[static_cast<std::size_t>(parent->group)].members;
  --parent->slots;
  Sequence child = *parent;
  child.key = child_key;
  child.slots = 1;
  running_.push_back(child);
}

void Scheduler::set_paused(SequenceKey key, bool paused) {
  if (Sequence* sequence = find_running(key)) sequence->paused = paused;
  for (Sequence& sequence : waiting_) {
    if (sequence.key == key) sequence.paused = paused;
  }
}

std::uint32_t Scheduler::committed_cells() const {
  std::uint32_t cells = 0;
  for (const Sequence& sequence : running_) cells += sequence.tokens - sequence.shared;
  for (const Group& group : groups_) cells += group.cells;
  return cells;
}

std::uint32_t Scheduler::used_cells() const {
  std::uint32_t cells = 0;
  for (const Sequence& sequence : running_) cells += sequence.computed - sequence.shared;
  for (const Group& group : groups_) cells += group.cells;
  return cells;
}

std::uint32_t Scheduler::used_slots() const {
  std::uint32_t slots = 0;
  for (const Sequence& sequence : running_) slots += sequence.slots;
  return slots;
}

std::uint64_t Scheduler::missing_prompt_tokens() const {
  std::uint64_t missing = 0;
  for (const Sequence& sequence : running_) {
    const std::uint32_t left = sequence.tokens - sequence.computed;
    if (left > 1) missing += left;
  }
  for (const Sequence& sequence : waiting_) missing += sequence.tokens;
  return missing;
}

void Scheduler::preempt(Step& step) {
  while (running_.size() > 1 && committed_cells() > limits_.cache_cells) {
    Sequence victim = running_.back();
    leave_group(running_.back());
    running_.pop_back();
    victim.group = -1;
    victim.shared = 0;
    victim.computed = 0;
    step.preempted.push_back(victim.key);
    waiting_.push_front(victim);
  }
}

void Scheduler::admit(Step& step) {
  // Who was sent away in this very step must not come back in it.
  if (!step.preempted.empty()) return;
  std::uint32_t cells = committed_cells();
  std::uint32_t slots = used_slots();
  while (!waiting_.empty()) {
    const Sequence& next = waiting_.front();
    const std::uint32_t headroom = running_.empty() ? 0 : kHeadroom * next.slots;
    if (slots + next.slots > limits_.max_sequences || cells + next.tokens + headroom > limits_.cache_cells)
      return;
    cells += next.tokens + headroom;
    slots += next.slots;
    step.admitted.push_back(next.key);
    running_.push_back(next);
    waiting_.pop_front();
  }
}

std::uint32_t Scheduler::prefill_budget(const Step& step) const {
  const std::uint32_t room = limits_.max_batch - step.decode_rows;
  // Alone nobody waits for the step: the largest chunk is the fastest, and a cancel aborts it.
  if (running_.size() + waiting_.size() == 1) return room;
  const Duration left = limits_.max_stall - (step.decode_rows > 0 ? decode_time_ : Duration::zero());
  const auto fitting = left > Duration::zero() ? left / std::max(prefill_time_, Duration(1)) : 0;
  return std::clamp(static_cast<std::uint32_t>(std::min<Duration::rep>(fitting, room)),
                    std::min(kMinChunk, room), room);
}

Scheduler::Step Scheduler::plan() {
  Step step;
  preempt(step);
  admit(step);
  for (const Sequence& sequence : running_) {
    if (sequence.paused || sequence.tokens - sequence.computed != 1) continue;
    if (step.decode_rows == limits_.max_batch) break;
    step.slices.push_back({sequence.key, sequence.computed, 1, true});
    ++step.decode_rows;
  }
  std::uint32_t budget = prefill_budget(step);
  for (const Sequence& sequence : running_) {
    const std::uint32_t missing = sequence.tokens - sequence.computed;
    if (budget == 0) break;
    if (sequence.paused || missing <= 1) continue;
    const std::uint32_t count = std::min(missing, budget);
    step.slices.push_back({sequence.key, sequence.computed, count, count == missing});
    step.prefill_rows += count;
    budget -= count;
  }
  return step;
}

void Scheduler::complete(const Step& step, Duration took) {
  for (const Slice& slice : step.slices) {
    if (Sequence* sequence = find_running(slice.sequence)) sequence->computed += slice.count;
  }
  if (step.prefill_rows == 0) {
    decode_time_ = smooth(decode_time_, took);
  } else {
    const Duration prefill = took - (step.decode_rows > 0 ? decode_time_ : Duration::zero());
    prefill_time_ = smooth(prefill_time_, std::max(prefill / step.prefill_rows, Duration(1000)));
  }
}

}  // namespace autoglm::engine
