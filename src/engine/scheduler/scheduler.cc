#include "engine/scheduler/scheduler.h"

#include "base/assert.h"

#include <algorithm>
#include <utility>

namespace autoglm::engine {

namespace {

// Cells that must be free beyond a prompt before it is admitted, per sequence: room to generate for a while,
// so that the newcomer is not preempted again at once.
constexpr std::uint32_t kHeadroom = 16;
// Less than this is not worth the step's fixed cost.
constexpr std::uint32_t kMinChunk = 8;
// Fewer tokens can be recomputed about as fast as they are copied.
constexpr std::uint32_t kWorthSaving = 2 * KvCache::kBlock;
// A beginning this much longer than the cached part is worth waiting for while another sequence computes it.
constexpr std::uint32_t kWorthWaiting = 2 * KvCache::kBlock;
// While streams run, a prompt may make a step this many times longer. The prompt is then read at 1 - 1/3.5 =
// 0.71 of the speed that it would have alone.
constexpr double kStretch = 3.5;
constexpr Duration kMinStall = std::chrono::milliseconds(20);
// While at least one in this many sequences still has a prompt to read, reading goes first.
constexpr std::size_t kStarters = 4;
// How long streams may stand still while more prompts are read than streams run.
constexpr Duration kStartYield = std::chrono::milliseconds(200);
// How long streams may stand still for prompts of a higher priority: some tokens' time, within these bounds.
constexpr Duration kMinYield = std::chrono::milliseconds(500);
constexpr Duration kMaxYield = std::chrono::seconds(2);
// A request without a deadline is due after this time; bounded, so that none is passed over forever.
constexpr Duration kPatience = std::chrono::seconds(30);

Duration stretched(Duration step) { return std::chrono::duration_cast<Duration>(step * kStretch); }

/// The time a step may take while streams run: short while they run fast, so that a prompt is not noticed.
Duration stall_budget(Duration max_stall, Duration decode_time) {
  return std::clamp(stretched(decode_time), std::min(kMinStall, max_stall), max_stall);
}

/// Matrices are multiplied four rows at a time; leftover rows cost a pass over all weights each.
std::uint32_t aligned(std::uint32_t decode_rows, std::uint32_t prefill_rows) {
  const std::uint32_t total = decode_rows + prefill_rows;
  const std::uint32_t over = total % 4;
  return over < prefill_rows ? prefill_rows - over : prefill_rows;
}

}  // namespace

Scheduler::Scheduler(const SchedulerLimits& limits)
    : limits_(limits), cache_(limits.kv), cost_(limits.tile_rows), threads_(limits.threads) {
  share_saved_tokens();
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
    drop_state(waiting_.at(key).sequence);
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

/// Cells that running sequences hold, plus those that their present tokens still need.
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
  save(victim);
  cache_.close(victim.lease, operations_);  // its blocks are kept as long as there is room for them
  step.preempted.push_back(victim.spec.key);
  enqueue(std::move(victim));
}

void Scheduler::save(Sequence& sequence) {
  const std::uint32_t tokens = sequence.lease.computed;
  if (tokens < kWorthSaving || saved_tokens_ + tokens > limits_.saved_tokens) return;
  sequence.state = ++states_;
  sequence.saved_tokens = tokens;
  saved_tokens_ += tokens;
  share_saved_tokens();
  operations_.push_back({.kind = KvOperation::Kind::kSave,
                         .from = sequence.lease.sequence,
                         .begin = 0,
                         .end = tokens,
                         .state = sequence.state});
}

/// Restores saved tokens that the cache no longer has, except for the last token, whose logits are needed.
void Scheduler::restore(Sequence& sequence) {
  const std::uint32_t end = std::min(sequence.saved_tokens, sequence.size() - 1);
  const std::uint32_t begin = sequence.lease.computed;
  if (end > begin && cache_.make_room(end - begin + limits_.kv.restore_slack, operations_)) {
    operations_.push_back({.kind = KvOperation::Kind::kRestore,
                           .to = sequence.lease.sequence,
                           .begin = begin,
                           .end = end,
                           .state = sequence.state});
    cache_.advance(sequence.lease, sequence.spec.salt, *sequence.spec.tokens, end - begin, operations_);
  }
  drop_state(sequence);
}

void Scheduler::drop_state(Sequence& sequence) {
  if (sequence.state == 0) return;
  operations_.push_back({.kind = KvOperation::Kind::kDrop, .state = std::exchange(sequence.state, 0)});
  saved_tokens_ -= std::exchange(sequence.saved_tokens, 0);
  share_saved_tokens();
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

/// Whether a running sequence is about to compute a good part of the tokens that this one lacks.
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
    if (!cached) cached = cache_.known(spec.salt, own);
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
  // The cheap check goes first: pinning the prefix can only add to the used cells.
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
  const std::uint32_t in_cache = sequence.lease.computed;
  cache_.reload(sequence.lease, sequence.spec.salt, *sequence.spec.tokens, operations_);
  const std::uint32_t shared = sequence.lease.computed;
  restore(sequence);
  step.admitted.push_back({.sequence = key,
                           .cached = shared,
                           .reloaded = shared - in_cache,
                           .restored = sequence.lease.computed - shared});
  queue_.take(key);
  waiting_.erase(key);
  running_.push_back(std::move(sequence));
  return true;
}

void Scheduler::admit(MonotonicTime now, Step& step) {
  // A sequence preempted for lack of room must not come back in the same step.
  if (!step.preempted.empty()) return;
  const auto ready = [this, now](const QueueEntry& entry) {
    if (entry.due <= now && waiting_.at(entry.key).sequence.spec.deadline <= now)
      return false;  // about to get a 504
    return !waits_for_prefix(entry.key);
  };
  while (const QueueEntry* next = queue_.next(now, ready)) {
    const QueueEntry entry = *next;
    if (try_admit(entry.key, now, step)) continue;
    // A higher priority takes the place of the least important sequence: the own priority, not the aged one.
    const auto least = least_important();
    if (!least || running_[*least].spec.priority >= entry.priority) return;
    preempt(*least, step);
  }
}

/// Whether a good part of all sequences still has a prompt to read.
bool Scheduler::is_starting(const std::vector<Sequence*>& readers) const {
  const auto generating = std::ranges::count_if(running_, &Sequence::generates);
  return readers.size() * kStarters > static_cast<std::size_t>(generating);
}

/// How many prompt tokens the step takes. `readers` have prompts to read, most important first. `still`: how
/// much longer streams will stand still for the first reader; zero: they do not.
std::uint32_t Scheduler::prefill_budget(const Step& step, const std::vector<Sequence*>& readers,
                                        Duration still) const {
  const std::uint32_t room = limits_.max_batch - step.decode_rows;
  // A single sequence delays no other: the largest chunk is the fastest, and a cancel aborts it.
  if (running_.size() + queue_.size() == 1) return room;
  const Duration decode = cost_.step({.decode = step.decode_rows});
  const std::uint32_t depth = readers.front()->lease.computed;
  const bool eager = step.decode_rows == 0 || is_starting(readers);
  const Duration stall = eager ? limits_.max_stall : stall_budget(limits_.max_stall, decode);
  std::uint32_t rows = cost_.prompt_rows_in(stall, step.decode_rows, room, depth);
  // While all streams stand still, an urgent prompt's step delays none: smaller pieces would only be slower.
  if (still > stall) {
    std::uint32_t urgent = 0;
    for (const Sequence* reader : readers)
      if (reader->spec.priority == readers.front()->spec.priority) urgent += reader->missing();
    rows = std::max(rows, cost_.prompt_rows_in(still, step.decode_rows, std::min(urgent, room), depth));
  }
  return aligned(step.decode_rows, std::clamp(rows, std::min(kMinChunk, room), room));
}

/// Adds the sequences that generate, except those that stand still while prompts are read: prompts of a
/// higher priority, or of a good part of all sequences. Reading many prompts together and then generating
/// together takes less time than mixing both; so all that stand still go on with the first one whose time is
/// up. Returns how long all streams will stand still for a higher priority.
Duration Scheduler::add_decode(MonotonicTime now, const std::vector<Sequence*>& readers, Step& step) {
  const int urgent = readers.empty() ? -1 : static_cast<int>(readers.front()->spec.priority);
  const Duration starting = is_starting(readers) ? kStartYield : Duration::zero();
  const Duration token = decode_step_time();
  const Duration for_urgent = token + std::clamp(stretched(token), kMinYield, kMaxYield);
  const auto yields = [urgent](const Sequence& sequence) { return sequence.spec.priority < urgent; };
  std::optional<Duration> less_urgent;  // how much longer streams of lower priority stand still
  std::optional<Duration> others;
  for (const Sequence& sequence : running_) {
    if (!sequence.generates()) continue;
    std::optional<Duration>& left = yields(sequence) ? less_urgent : others;
    const Duration own = sequence.last_work + (yields(sequence) ? for_urgent : starting) - now;
    left = std::min(left.value_or(own), own);
  }
  for (Sequence& sequence : running_) {
    if (!sequence.generates() || step.decode_rows == limits_.max_batch) continue;
    if (*(yields(sequence) ? less_urgent : others) > Duration::zero()) continue;
    sequence.last_work = now;
    step.slices.push_back({sequence.spec.key, sequence.lease.sequence, sequence.lease.computed, 1, true});
    ++step.decode_rows;
  }
  return others ? Duration::zero() : less_urgent.value_or(Duration::zero());
}

void Scheduler::add_prefill(MonotonicTime now, const std::vector<Sequence*>& readers, Duration still,
                            Step& step) {
  if (readers.empty()) return;
  std::uint32_t budget = prefill_budget(step, readers, still);
  for (Sequence* sequence : readers) {
    if (budget == 0) break;
    const std::uint32_t count = std::min({sequence->missing(), sequence->spec.max_rows, budget});
    sequence->last_work = now;
    step.slices.push_back({sequence->spec.key, sequence->lease.sequence, sequence->lease.computed, count,
                           count == sequence->missing()});
    step.prefill_rows += count;
    step.prefill_cells += StepRows::cells_of(count, sequence->lease.computed);
    budget -= count;
  }
}

/// The sequences with a prompt to read, most important first.
std::vector<Scheduler::Sequence*> Scheduler::readers() {
  std::vector<Sequence*> out;
  for (Sequence& sequence : running_) {
    if (!sequence.paused && sequence.missing() > 1) out.push_back(&sequence);
  }
  std::ranges::sort(out, {}, [](const Sequence* reader) {
    return std::pair(-static_cast<int>(reader->spec.priority), reader->order);
  });
  return out;
}

Scheduler::Step Scheduler::plan(MonotonicTime now) {
  Step step;
  relieve(step);
  admit(now, step);
  const std::vector<Sequence*> prompts = readers();
  const Duration still = add_decode(now, prompts, step);
  add_prefill(now, prompts, still, step);
  const bool room = cache_.make_room(step.decode_rows + step.prefill_rows, operations_);
  AUTOGLM_ASSERT(room, "what is planned has been committed");
  step.expected = cost_.step(step.rows());
  step.threads = threads_.plan(step.expected, now);
  step.operations = std::exchange(operations_, {});
  return step;
}

void Scheduler::complete(const Step& step, const StepTime& took, MonotonicTime now) {
  for (const Slice& slice : step.slices) {
    if (Sequence* sequence = find_running(slice.sequence))
      cache_.advance(sequence->lease, sequence->spec.salt, *sequence->spec.tokens, slice.count, operations_);
  }
  const auto lesson = threads_.observe(step.threads, step.expected, took, now);
  if (lesson.usual) cost_.observe(step.rows(), took.wall);
  if (lesson.new_pace != 1.0) cost_.change_pace(lesson.new_pace);
  if (step.decode_rows > 0) decode_rows_ = step.decode_rows;
}

void Scheduler::revert(const Step& step) {
  for (const Slice& slice : step.slices) operations_.push_back({.from = slice.slot, .begin = slice.first});
}

}  // namespace autoglm::engine
