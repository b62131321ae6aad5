#include "engine/scheduler/scheduler.h"

#include "base/assert.h"

#include <algorithm>
#include <utility>

namespace autoglm::engine {

namespace {

// Fewer tokens can be recomputed about as fast as they are copied.
constexpr std::uint32_t kWorthSaving = 2 * KvCache::kBlock;
// A request without a deadline is due after this time; bounded, so that none is passed over forever.
constexpr Duration kPatience = std::chrono::seconds(30);
constexpr double kLearning = 0.1;  // the weight of the latest answer's length

}  // namespace

Scheduler::Scheduler(const SchedulerLimits& limits)
    : limits_(limits),
      cache_(limits.kv),
      shares_(limits.max_sequences),
      cost_(limits.tile_rows),
      threads_(limits.threads) {
  share_saved_tokens();
  AUTOGLM_ASSERT(limits.kv.sequences >= limits.max_sequences * (limits.kv.keep_prefixes ? 2 : 1),
                 "every running sequence needs an id, and its prefix another");
}

void Scheduler::add(const SequenceSpec& spec) {
  AUTOGLM_ASSERT(!spec.tokens->empty() && spec.tokens->size() <= limits_.kv.cells,
                 "a sequence must fit the cache");
  AUTOGLM_ASSERT(spec.slots > 0 && spec.slots <= limits_.max_sequences, "a request must fit the slots");
  enqueue({.spec = spec,
           .order = ++arrivals_,
           .prompt = static_cast<std::uint32_t>(spec.tokens->size()),
           .expected = static_cast<std::uint32_t>(usual_answer_)});
}

void Scheduler::change_shares(const std::vector<GroupShare>& groups) {
  shares_.change(groups, loads());
  if (queues_.size() < shares_.size()) queues_.resize(shares_.size());
}

void Scheduler::enqueue(Sequence sequence) {
  const SequenceSpec& spec = sequence.spec;
  queues_[spec.group].push({.key = spec.key,
                            .priority = spec.priority,
                            .tenant = spec.tenant,
                            // One that returns has been charged already.
                            .cost = sequence.charged ? 1 : sequence.size() + sequence.expected,
                            .order = sequence.order,
                            .arrived = spec.arrived,
                            .due = std::min(spec.deadline, spec.arrived + kPatience)});
  const SequenceKey key = spec.key;
  waiting_.emplace(key, Waiting{std::move(sequence), std::nullopt, std::nullopt});
}

Scheduler::Sequence* Scheduler::find_running(SequenceKey key) {
  const auto found =
      std::ranges::find(running_, key, [](const Sequence& sequence) { return sequence.spec.key; });
  return found == running_.end() ? nullptr : &*found;
}

/// Charges the tenant of a sequence that ends for its answer as it was.
void Scheduler::settle(const Sequence& sequence) {
  if (!sequence.charged) return;
  queues_[sequence.spec.group].settle(sequence.spec.priority, sequence.spec.tenant, *sequence.charged,
                                      static_cast<std::int64_t>(sequence.answered()) - sequence.expected);
}

void Scheduler::remove(SequenceKey key) {
  if (Sequence* sequence = find_running(key)) {
    usual_answer_ += kLearning * (sequence->answered() - usual_answer_);
    settle(*sequence);
    cache_.close(sequence->lease, operations_);
    running_.erase(running_.begin() + (sequence - running_.data()));
  } else if (const auto waiting = waiting_.find(key); waiting != waiting_.end()) {
    settle(waiting->second.sequence);
    queues_[waiting->second.sequence.spec.group].erase(key);
    drop_state(waiting->second.sequence);
    waiting_.erase(waiting);
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
  child.expected = 0;
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

Scheduler::Step Scheduler::plan(MonotonicTime now) {
  Step step;
  relieve(step);
  admit(now, step);
  const std::vector<Sequence*> prompts = readers();
  const Duration still = add_decode(now, prompts, step);
  add_prefill(now, prompts, still, step);
  const bool room = cache_.make_room(step.decode_rows + step.prefill_rows, operations_);
  AUTOGLM_ASSERT(room, "what is planned has been committed");
  note_unserved(step);
  step.expected = cost_.step(step.rows());
  step.threads = threads_.plan(step.expected, now);
  step.operations = std::exchange(operations_, {});
  return step;
}

void Scheduler::complete(const Step& step, const StepTime& took, MonotonicTime now) {
  for (const Slice& slice : step.slices) {
    if (Sequence* sequence = find_running(slice.sequence))
      cache_.advance(sequence->lease, sequence->spec.salt, *sequence->spec.tokens, slice.count, operations_);
    shares_.charge(slice.group, slice.count);
  }
  if (has_groups()) shares_.settle(unserved_);
  const auto lesson = threads_.observe(step.threads, step.expected, took, now);
  if (lesson.usual) cost_.observe(step.rows(), took.wall);
  if (lesson.new_pace != 1.0) cost_.change_pace(lesson.new_pace);
  if (step.decode_rows > 0) decode_rows_ = step.decode_rows;
}

void Scheduler::revert(const Step& step) {
  for (const Slice& slice : step.slices) operations_.push_back({.from = slice.slot, .begin = slice.first});
}

}  // namespace autoglm::engine
