#include "engine/scheduler/scheduler.h"

#include <algorithm>
#include <utility>

namespace autoglm::engine {

namespace {

// Cells that must be free beyond a prompt before it is admitted, per sequence: room to generate for a while,
// so that the newcomer is not preempted again at once.
constexpr std::uint32_t kHeadroom = 16;
// A beginning this much longer than the cached part is worth waiting for while another sequence computes it.
constexpr std::uint32_t kWorthWaiting = 2 * KvCache::kBlock;
// How long other groups' requests go before one that does not fit.
constexpr Duration kMostOvertaken = std::chrono::seconds(5);

}  // namespace

/// By group. `need` is left out: it takes a look at each queue. An answer that runs owes the rest of a usual
/// one: otherwise a group could take all that becomes free at one moment, since answers are charged later.
std::vector<GroupLoad> Scheduler::loads() const {
  std::vector<GroupLoad> out(shares_.size());
  for (const Sequence& sequence : running_) {
    GroupLoad& load = out[sequence.spec.group];
    load.used += sequence.spec.slots;
    load.owed += sequence.missing();
    if (sequence.answered() < usual_answer_)
      load.owed += static_cast<std::uint64_t>(usual_answer_ - sequence.answered()) * sequence.spec.slots;
    load.works = true;
  }
  for (std::size_t i = 0; i < out.size(); ++i) out[i].works |= !queues_[i].empty();
  return out;
}

/// The youngest sequence of the lowest priority; of one group, not of those that are gone, and one that frees
/// no more slots than given.
std::optional<std::size_t> Scheduler::least_important(std::optional<GroupIndex> group,
                                                      const std::vector<bool>& gone,
                                                      std::uint32_t most_slots) const {
  std::optional<std::size_t> least;
  std::pair<int, std::uint64_t> least_rank;
  for (std::size_t i = 0; i < running_.size(); ++i) {
    const SequenceSpec& spec = running_[i].spec;
    if (gone[i] || (group && spec.group != *group) || spec.slots > most_slots) continue;
    const std::pair rank(-static_cast<int>(spec.priority), running_[i].order);
    if (least && rank <= least_rank) continue;
    least = i;
    least_rank = rank;
  }
  return least;
}

void Scheduler::relieve(Step& step) {
  while (running_.size() > 1 && committed_cells() > limits_.kv.cells) {
    std::optional<GroupIndex> group;
    if (has_groups()) group = shares_.furthest_above(loads(), std::nullopt);
    preempt(*least_important(group, std::vector<bool>(running_.size())), step);
  }
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
    // Another group's prompt, or a less important one, may be read late.
    if (other.missing() <= 1 || other.paused || other.spec.salt != spec.salt ||
        other.spec.group != spec.group || other.spec.priority < spec.priority)
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
  const std::uint64_t era = queues_[sequence.spec.group].take(key);
  if (!sequence.charged) sequence.charged = era;
  waiting_.erase(key);
  running_.push_back(std::move(sequence));
  return true;
}

/// The waiting sequence whose turn it is, of groups of which none was passed over. Nothing: none may begin.
std::optional<QueueEntry> Scheduler::next_waiting(MonotonicTime now, const Step& step,
                                                  std::span<const SequenceKey> passed) {
  const auto ready = [&](const QueueEntry& entry) {
    if (std::ranges::find(step.preempted, entry.key) != step.preempted.end())
      return false;  // it has just made way
    if (entry.due <= now && waiting_.at(entry.key).sequence.spec.deadline <= now)
      return false;  // about to get a 504
    return !waits_for_prefix(entry.key);
  };
  if (!has_groups()) {
    const QueueEntry* next = queues_[kNoGroup].next(now, ready);
    return next == nullptr ? std::nullopt : std::optional(*next);
  }
  std::vector<GroupLoad> wanted = loads();
  std::vector<std::optional<QueueEntry>> first(wanted.size());
  for (GroupIndex i = 0; i < wanted.size(); ++i) {
    const QueueEntry* next = queues_[i].next(now, ready);
    if (next == nullptr) continue;
    Waiting& head = waiting_.at(next->key);
    const std::uint32_t left = shares_.left_of_share(i, wanted[i]);
    if (left > 0 && left < head.sequence.spec.slots && !keeps_turn(head, now)) {
      // Too large for what is left of the share, which is not to be lost for it.
      const auto fits = [&](const QueueEntry& entry) {
        return waiting_.at(entry.key).sequence.spec.slots <= left && ready(entry);
      };
      if (const QueueEntry* smaller = queues_[i].next(now, fits)) {
        head.overtaken = head.overtaken.value_or(now);
        next = smaller;
      }
    }
    first[i] = *next;
    wanted[i].need = waiting_.at(next->key).sequence.spec.slots;
  }
  needs_.clear();
  for (const GroupLoad& load : wanted) needs_.push_back(load.need);
  for (const SequenceKey key : passed) wanted[waiting_.at(key).sequence.spec.group].need = 0;
  const auto group = shares_.next(wanted);
  return group ? first[*group] : std::nullopt;
}

/// The cells of a sequence's beginning that stay in use by running ones, whether or not it is there.
std::uint32_t Scheduler::shared_cells(const Sequence& sequence, const std::vector<bool>& gone) const {
  if (!limits_.kv.keep_prefixes) return 0;
  const std::vector<TokenId>& own = *sequence.spec.tokens;
  std::size_t most = 0;
  for (std::size_t i = 0; i < running_.size(); ++i) {
    const Sequence& other = running_[i];
    if (gone[i] || other.spec.key == sequence.spec.key || other.spec.salt != sequence.spec.salt) continue;
    const std::size_t reach = std::min<std::size_t>(own.size() - 1, other.lease.computed);
    if (reach <= most) continue;
    const auto end = own.begin() + static_cast<std::ptrdiff_t>(reach);
    const auto same = std::mismatch(own.begin(), end, other.spec.tokens->begin()).first;
    most = std::max(most, static_cast<std::size_t>(same - own.begin()));
  }
  return static_cast<std::uint32_t>(most) / KvCache::kBlock * KvCache::kBlock;
}

/// The running sequence that makes way for a waiting one: one of a group above its share, where that of the
/// waiting one is below its own; else one of its own group that has a lower priority, not counting age. None
/// of those that are gone already, which `loads` do not count.
std::optional<std::size_t> Scheduler::victim_for(const SequenceSpec& spec, std::vector<GroupLoad> loads,
                                                 const std::vector<bool>& gone) const {
  if (has_groups()) {
    loads[spec.group].need = spec.slots;
    if (shares_.is_below_share(spec.group, loads[spec.group])) {
      // A group whose sequences are all larger than its excess keeps them.
      while (const auto above = shares_.furthest_above(loads, spec.group)) {
        const auto victim = least_important(above, gone, shares_.excess(*above, loads[*above]));
        if (victim) return victim;
        loads[*above].used = 0;
      }
    }
  }
  const auto least = least_important(spec.group, gone);
  return least && running_[*least].spec.priority < spec.priority ? least : std::nullopt;
}

/// The running sequences that make way for a waiting one, which did not fit. Nothing: all that may be taken
/// would not be enough, and none makes way in vain.
std::optional<std::vector<SequenceKey>> Scheduler::victims_for(SequenceKey key) const {
  const Sequence& waiting = waiting_.at(key).sequence;
  std::vector<SequenceKey> victims;
  std::vector<bool> gone(running_.size());
  std::vector<GroupLoad> loads = this->loads();
  std::uint32_t slots = used_slots() + waiting.spec.slots;
  std::uint32_t cells = committed_cells();
  while (true) {
    const auto next = victim_for(waiting.spec, loads, gone);
    if (!next) return std::nullopt;
    const Sequence& victim = running_[*next];
    gone[*next] = true;
    victims.push_back(victim.spec.key);
    loads[victim.spec.group].used -= victim.spec.slots;
    slots -= victim.spec.slots;
    cells -= std::min(cells, victim.size() - std::min(shared_cells(victim, gone), victim.size()));
    const std::uint32_t headroom = victims.size() == running_.size() ? 0 : kHeadroom * waiting.spec.slots;
    const std::uint32_t own = waiting.size() - shared_cells(waiting, gone) + headroom;
    if (slots <= limits_.max_sequences && cells + own <= limits_.kv.cells) return victims;
  }
}

/// Admits a waiting sequence, and preempts others for it if that is allowed and enough.
bool Scheduler::admit(SequenceKey key, MonotonicTime now, Step& step) {
  while (!try_admit(key, now, step)) {
    const auto victims = victims_for(key);
    if (!victims) return false;
    for (const SequenceKey victim : *victims)
      preempt(static_cast<std::size_t>(find_running(victim) - running_.data()), step);
  }
  return true;
}

/// Whether others have been admitted before a waiting sequence for as long as that is allowed: until it fits,
/// it keeps its turn then.
bool Scheduler::keeps_turn(const Waiting& waiting, MonotonicTime now) {
  return waiting.overtaken && now - *waiting.overtaken >= kMostOvertaken;
}

void Scheduler::admit(MonotonicTime now, Step& step) {
  if (has_groups()) shares_.begin(loads());
  // A sequence preempted for lack of room must not come back in the same step.
  if (!step.preempted.empty()) return;
  std::vector<SequenceKey> passed;  // one of a group at most
  while (const auto next = next_waiting(now, step, passed)) {
    if (admit(next->key, now, step)) {
      for (const SequenceKey key : passed) {
        Waiting& waiting = waiting_.at(key);
        waiting.overtaken = waiting.overtaken.value_or(now);
      }
      continue;
    }
    if (!has_groups() || keeps_turn(waiting_.at(next->key), now)) return;
    passed.push_back(next->key);
  }
}

}  // namespace autoglm::engine
