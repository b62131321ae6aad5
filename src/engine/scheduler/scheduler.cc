#include "engine/scheduler/scheduler.h"

#include "base/assert.h"

#include <algorithm>
#include <utility>

namespace autoglm::engine {

namespace {

// Cells that must be free beyond a prompt before it is admitted, for each sequence: room to generate a
// while, so that the newcomer is not preempted again at once.
constexpr std::uint32_t kHeadroom = 16;
// Less than this is not worth the step's fixed cost.
constexpr std::uint32_t kMinChunk = 8;
// A beginning this much longer than what is cached is worth waiting for while another computes it.
constexpr std::uint32_t kWorthWaiting = 2 * KvCache::kBlock;
// While streams run, a prompt may make a step this many times longer.
constexpr int kStretch = 4;
constexpr Duration kMinStall = std::chrono::milliseconds(20);
// How long streams of a lower priority may stand still for prompts of a higher one.
constexpr Duration kMaxYield = std::chrono::milliseconds(500);
// Without a deadline a request is due after this time; bounded, so that none is passed over forever.
constexpr Duration kPatience = std::chrono::seconds(30);

Duration smooth(Duration old, Duration fresh) {
  return old == Duration::zero() ? fresh : (old * 7 + fresh) / 8;
}

/// What a step may take while streams run: little while they run fast, so that nobody sees a prompt go by.
Duration stall_budget(Duration max_stall, Duration decode_time) {
  return std::clamp(decode_time * kStretch, std::min(kMinStall, max_stall), max_stall);
}

}  // namespace

Scheduler::Scheduler(const SchedulerLimits& limits) : limits_(limits), cache_(limits.kv) {
  AUTOGLM_ASSERT(limits.kv.sequences >= limits.max_sequences * (limits.kv.keep_prefixes ? 2 : 1),
                 "every running sequence needs an id, and its prefix another");
}

void Scheduler::add(const SequenceSpec& spec) {
  AUTOGLM_ASSERT(!spec.tokens->empty() && spec.tokens->size() <= limits_.kv.cells,
                 "a sequence must fit the cache");
  AUTOGLM_ASSERT(spec.slots > 0 && spec.slots <= limits_.max_sequences, "a request must fit the slots");
  enqueue({.spec = spec, .order = ++arrivals_});
}

void Scheduler::enqueue(Sequence sequence) {
  const SequenceSpec& spec = sequence.spec;
  queue_.push({.key = spec.key,
               .priority = spec.priority,
               .tenant = spec.tenant,
               .cost = sequence.size(),
               .order = sequence.order,
               .arrived = spec.arrived,
               .due = std::min(spec.deadline, spec.arrived + kPatience)});
  const SequenceKey key = spec.key;
  waiting_.emplace(key, Waiting{std::move(sequence), std::nullopt});
}

Scheduler::Sequence* Scheduler::find_running(SequenceKey key) {
  const auto found =
      std::ranges::find(running_, key, [](const Sequence& sequence) { return sequence.spec.key; });
  return found == running_.end() ? nullptr : &*found;
}

void Scheduler::remove(SequenceKey key) {
  if (Sequence* sequence = find_running(key)) {
    cache_.close(sequence->lease, operations_);
    running_.erase(running_.begin() + (sequence - running_.data()));
  } else if (queue_.erase(key)) {
    waiting_.erase(key);
  }
}

void Scheduler::append(SequenceKey key) {
  const Sequence* sequence = find_running(key);
  AUTOGLM_ASSERT(sequence != nullptr && sequence->missing() == 1,
                 "only a completed sequence grows, by one token");
}

void Scheduler::fork(SequenceKey parent_key, SequenceKey child_key, const std::vector<TokenId>* tokens) {
  Sequence* parent = find_running(parent_key);
  AUTOGLM_ASSERT(parent != nullptr && parent->spec.slots > 1 && parent->missing() == 0,
                 "nothing to fork from");
  --parent->spec.slots;
  Sequence child = *parent;
  child.spec.key = child_key;
  child.spec.tokens = tokens;
  child.spec.slots = 1;
  child.order = ++arrivals_;
  child.lease = cache_.fork(parent->lease, operations_);
  AUTOGLM_ASSERT(child.lease.open(), "ids last for max_sequences");
  running_.push_back(std::move(child));
}

void Scheduler::set_paused(SequenceKey key, bool paused) {
  if (Sequence* sequence = find_running(key)) {
    sequence->paused = paused;
  } else if (const auto waiting = waiting_.find(key); waiting != waiting_.end()) {
    waiting->second.sequence.paused = paused;
  }
}

/// What running sequences have and will need to have their present tokens computed.
std::uint32_t Scheduler::committed_cells() const {
  std::uint32_t cells = cache_.used_cells();
  for (const Sequence& sequence : running_) cells += sequence.missing();
  return cells;
}

std::uint32_t Scheduler::used_slots() const {
  std::uint32_t slots = 0;
  for (const Sequence& sequence : running_) slots += sequence.spec.slots;
  return slots;
}

std::uint64_t Scheduler::missing_prompt_tokens() const {
  std::uint64_t missing = 0;
  for (const Sequence& sequence : running_) {
    if (sequence.missing() > 1) missing += sequence.missing();
  }
  for (const auto& [key, waiting] : waiting_) missing += waiting.sequence.size();
  return missing;
}

void Scheduler::preempt(std::size_t position, Step& step) {
  Sequence victim = std::move(running_[position]);
  running_.erase(running_.begin() + static_cast<std::ptrdiff_t>(position));
  cache_.close(victim.lease, operations_);  // its blocks are kept while there is room for them
  step.preempted.push_back(victim.spec.key);
  enqueue(std::move(victim));
}

std::optional<std::size_t> Scheduler::least_important() const {
  if (running_.empty()) return std::nullopt;
  const auto least = std::ranges::max_element(running_, {}, [](const Sequence& sequence) {
    return std::pair(-static_cast<int>(sequence.spec.priority), sequence.order);
  });
  return static_cast<std::size_t>(least - running_.begin());
}

void Scheduler::relieve(Step& step) {
  while (running_.size() > 1 && committed_cells() > limits_.kv.cells) preempt(*least_important(), step);
}

/// Whether a running sequence is about to compute a good part of what this one lacks.
bool Scheduler::waits_for_prefix(SequenceKey key) {
  Waiting& waiting = waiting_.at(key);
  if (waiting.blocked) {
    const Sequence* blocker = find_running(waiting.blocked->blocker);
    if (blocker != nullptr && !blocker->paused && blocker->lease.computed < waiting.blocked->until)
      return true;
    waiting.blocked.reset();
  }
  if (!limits_.kv.keep_prefixes || running_.empty()) return false;
  const SequenceSpec& spec = waiting.sequence.spec;
  const std::vector<TokenId>& own = *spec.tokens;
  std::optional<std::uint32_t> cached;
  for (const Sequence& other : running_) {
    if (other.missing() <= 1 || other.paused || other.spec.salt != spec.salt ||
        other.spec.priority < spec.priority)
      continue;
    const std::vector<TokenId>& theirs = *other.spec.tokens;
    const std::size_t reach = std::min(own.size() - 1, theirs.size());
    if (reach < kWorthWaiting || own[0] != theirs[0]) continue;
    const auto end =
        std::mismatch(own.begin(), own.begin() + static_cast<std::ptrdiff_t>(reach), theirs.begin()).first;
    const auto common = static_cast<std::uint32_t>(end - own.begin()) / KvCache::kBlock * KvCache::kBlock;
    if (common <= other.lease.computed) continue;
    if (!cached) cached = cache_.match(spec.salt, own);
    if (common < *cached + kWorthWaiting) continue;
    waiting.blocked = Blocked{other.spec.key, common};
    return true;
  }
  return false;
}

bool Scheduler::try_admit(SequenceKey key, MonotonicTime now, Step& step) {
  Sequence sequence = waiting_.at(key).sequence;
  if (used_slots() + sequence.spec.slots > limits_.max_sequences) return false;
  const std::uint32_t committed = committed_cells();
  // Cheap before exact: pinning the prefix can only add to what is used.
  const std::uint32_t headroom = running_.empty() ? 0 : kHeadroom * sequence.spec.slots;
  const std::uint32_t cached = cache_.match(sequence.spec.salt, *sequence.spec.tokens);
  if (committed + sequence.size() - cached + headroom > limits_.kv.cells) return false;
  KvOperations operations;
  const std::uint32_t used_before = cache_.used_cells();
  sequence.lease = cache_.open(sequence.spec.salt, *sequence.spec.tokens, operations);
  operations_.insert(operations_.end(), operations.begin(), operations.end());
  if (!sequence.lease.open()) return false;
  const std::uint32_t pinned = cache_.used_cells() - used_before;
  if (committed + pinned + sequence.missing() + headroom > limits_.kv.cells) {
    cache_.close(sequence.lease, operations_);
    return false;
  }
  sequence.last_work = now;
  step.admitted.push_back({key, sequence.lease.shared});
  queue_.take(key);
  waiting_.erase(key);
  running_.push_back(std::move(sequence));
  return true;
}

void Scheduler::admit(MonotonicTime now, Step& step) {
  // Who was sent away for want of room must not come back in the same step.
  if (!step.preempted.empty()) return;
  const auto ready = [this, now](const QueueEntry& entry) {
    if (entry.due <= now && waiting_.at(entry.key).sequence.spec.deadline <= now)
      return false;  // about to be told 504
    return !waits_for_prefix(entry.key);
  };
  while (const QueueEntry* next = queue_.next(now, ready)) {
    const QueueEntry entry = *next;
    if (try_admit(entry.key, now, step)) continue;
    // A higher priority takes the place of the least important; by its own, not by the age of its wait.
    const auto least = least_important();
    if (!least || running_[*least].spec.priority >= entry.priority) return;
    preempt(*least, step);
  }
}

std::uint32_t Scheduler::prefill_budget(const Step& step) const {
  const std::uint32_t room = limits_.max_batch - step.decode_rows;
  // Alone nobody waits for the step: the largest chunk is the fastest, and a cancel aborts it.
  if (running_.size() + queue_.size() == 1) return room;
  // While as many requests wait for their first token as streams run, getting them started is worth the whole
  // stall.
  const bool starting = running_.size() - step.decode_rows + queue_.size() >= step.decode_rows;
  const Duration stall = starting ? limits_.max_stall : stall_budget(limits_.max_stall, decode_time_);
  const Duration left = stall - (step.decode_rows > 0 ? decode_time_ : Duration::zero());
  const auto fitting = left > Duration::zero() ? left / std::max(prefill_time_, Duration(1)) : 0;
  return std::clamp(static_cast<std::uint32_t>(std::min<Duration::rep>(fitting, room)),
                    std::min(kMinChunk, room), room);
}

void Scheduler::add_decode(MonotonicTime now, Step& step) {
  int urgent = -1;  // the highest priority whose prompt is being read
  for (const Sequence& sequence : running_) {
    if (!sequence.paused && sequence.missing() > 1)
      urgent = std::max(urgent, static_cast<int>(sequence.spec.priority));
  }
  for (Sequence& sequence : running_) {
    if (sequence.paused || sequence.missing() != 1 || step.decode_rows == limits_.max_batch) continue;
    if (sequence.spec.priority < urgent && now - sequence.last_work < kMaxYield) continue;
    sequence.last_work = now;
    step.slices.push_back({sequence.spec.key, sequence.lease.sequence, sequence.lease.computed, 1, true});
    ++step.decode_rows;
  }
}

void Scheduler::add_prefill(MonotonicTime now, Step& step) {
  std::vector<Sequence*> readers;
  for (Sequence& sequence : running_) {
    if (!sequence.paused && sequence.missing() > 1) readers.push_back(&sequence);
  }
  if (readers.empty()) return;
  std::ranges::sort(readers, {}, [](const Sequence* reader) {
    return std::pair(-static_cast<int>(reader->spec.priority), reader->order);
  });
  std::uint32_t budget = prefill_budget(step);
  for (Sequence* sequence : readers) {
    if (budget == 0) break;
    const std::uint32_t count = std::min(sequence->missing(), budget);
    sequence->last_work = now;
    step.slices.push_back({sequence->spec.key, sequence->lease.sequence, sequence->lease.computed, count,
                           count == sequence->missing()});
    step.prefill_rows += count;
    budget -= count;
  }
}

Scheduler::Step Scheduler::plan(MonotonicTime now) {
  Step step;
  relieve(step);
  admit(now, step);
  add_decode(now, step);
  add_prefill(now, step);
  const bool room = cache_.make_room(step.decode_rows + step.prefill_rows, operations_);
  AUTOGLM_ASSERT(room, "what is planned has been committed");
  step.operations = std::exchange(operations_, {});
  return step;
}

void Scheduler::complete(const Step& step, Duration took) {
  for (const Slice& slice : step.slices) {
    if (Sequence* sequence = find_running(slice.sequence))
      cache_.advance(sequence->lease, sequence->spec.salt, *sequence->spec.tokens, slice.count, operations_);
  }
  if (step.prefill_rows == 0) {
    if (step.decode_rows > 0) decode_time_ = smooth(decode_time_, took);
  } else {
    const Duration prefill = took - (step.decode_rows > 0 ? decode_time_ : Duration::zero());
    prefill_time_ = smooth(prefill_time_, std::max(prefill / step.prefill_rows, Duration(1000)));
  }
}

void Scheduler::revert(const Step& step) {
  for (const Slice& slice : step.slices) operations_.push_back({.from = slice.slot, .begin = slice.first});
}

}  // namespace autoglm::engine
