#include "engine/scheduler/scheduler.h"

#include <algorithm>
#include <unordered_map>
#include <utility>

namespace autoglm::engine {

namespace {

// Less than this is not worth the step's fixed cost.
constexpr std::uint32_t kMinChunk = 8;
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

/// Whether a good part of the sequences still has a prompt to read; of the group whose turn it is.
bool Scheduler::is_starting(const std::vector<Sequence*>& readers) const {
  const GroupIndex group = readers.front()->spec.group;
  const auto generating = std::ranges::count_if(
      running_, [group](const Sequence& each) { return each.spec.group == group && each.generates(); });
  const auto reading =
      std::ranges::count_if(readers, [group](const Sequence* each) { return each->spec.group == group; });
  return static_cast<std::size_t>(reading) * kStarters > static_cast<std::size_t>(generating);
}

/// The time that prompts may make a step with streams take.
Duration Scheduler::step_time_beside_streams(const Step& step, const std::vector<Sequence*>& readers) const {
  const Duration decode = cost_.step({.decode = step.decode_rows});
  std::vector<bool> seen(shares_.size());
  bool others = false;  // whether streams of other groups are in the step
  double owned = 0;     // of the step's time, by their shares
  for (const Slice& slice : step.slices) {
    if (slice.group == readers.front()->spec.group || seen[slice.group]) continue;
    seen[slice.group] = others = true;
    owned += shares_.share(slice.group);
  }
  if (step.decode_rows == 0 || (!others && is_starting(readers))) return limits_.max_stall;
  const Duration stall = stall_budget(limits_.max_stall, decode);
  if (owned <= 0) return stall;
  return std::min(stall, std::chrono::duration_cast<Duration>(decode / std::min(owned, 1.0)));
}

/// How many prompt tokens the step takes. `readers` have prompts to read, most important first. `still`: how
/// much longer streams will stand still for the first reader; zero: they do not.
std::uint32_t Scheduler::prefill_budget(const Step& step, const std::vector<Sequence*>& readers,
                                        Duration still) const {
  const std::uint32_t room = limits_.max_batch - step.decode_rows;
  // A single sequence delays no other: the largest chunk is the fastest, and a cancel aborts it.
  if (running_.size() + waiting_.size() == 1) return room;
  const std::uint32_t depth = readers.front()->lease.computed;
  const Duration stall = step_time_beside_streams(step, readers);
  std::uint32_t rows = cost_.prompt_rows_in(stall, step.decode_rows, room, depth);
  // While all streams stand still, an urgent prompt's step delays none: smaller pieces would only be slower.
  if (still > stall) {
    std::uint32_t urgent = 0;
    for (const Sequence* reader : readers)
      if (reader->spec.group == readers.front()->spec.group &&
          reader->spec.priority == readers.front()->spec.priority)
        urgent += reader->missing();
    rows = std::max(rows, cost_.prompt_rows_in(still, step.decode_rows, std::min(urgent, room), depth));
  }
  return aligned(step.decode_rows, std::clamp(rows, std::min(kMinChunk, room), room));
}

/// Adds the sequences that generate, except those that stand still while prompts are read: prompts of a
/// higher priority, or of a good part of all sequences. Reading many prompts together and then generating
/// together takes less time than mixing both; so all that stand still go on with the first one whose time is
/// up. Streams of other groups than the first reader's go on. Returns how long all streams will stand still
/// for a higher priority.
Duration Scheduler::add_decode(MonotonicTime now, const std::vector<Sequence*>& readers, Step& step) {
  const int urgent = readers.empty() ? -1 : static_cast<int>(readers.front()->spec.priority);
  const Duration starting = !readers.empty() && is_starting(readers) ? kStartYield : Duration::zero();
  const auto goes_on = [&readers](const Sequence& sequence) {
    return readers.empty() || sequence.spec.group != readers.front()->spec.group;
  };
  const Duration token = decode_step_time();
  const Duration for_urgent = token + std::clamp(stretched(token), kMinYield, kMaxYield);
  const auto yields = [urgent](const Sequence& sequence) { return sequence.spec.priority < urgent; };
  std::optional<Duration> less_urgent;  // how much longer streams of lower priority stand still
  std::optional<Duration> others;
  bool never = false;  // whether some never stand still
  for (const Sequence& sequence : running_) {
    if (!sequence.generates()) continue;
    if (goes_on(sequence)) {
      never = true;
      continue;
    }
    std::optional<Duration>& left = yields(sequence) ? less_urgent : others;
    const Duration own = sequence.last_work + (yields(sequence) ? for_urgent : starting) - now;
    left = std::min(left.value_or(own), own);
  }
  for (Sequence& sequence : running_) {
    if (!sequence.generates() || step.decode_rows == limits_.max_batch) continue;
    if (!goes_on(sequence) && *(yields(sequence) ? less_urgent : others) > Duration::zero()) continue;
    sequence.last_work = now;
    step.slices.push_back(
        {sequence.spec.key, sequence.spec.group, sequence.lease.sequence, sequence.lease.computed, 1, true});
    ++step.decode_rows;
  }
  return others || never ? Duration::zero() : less_urgent.value_or(Duration::zero());
}

void Scheduler::add_prefill(MonotonicTime now, const std::vector<Sequence*>& readers, Duration still,
                            Step& step) {
  if (readers.empty()) return;
  std::uint32_t budget = prefill_budget(step, readers, still);
  for (Sequence* sequence : readers) {
    if (budget == 0) break;
    const std::uint32_t count = std::min({sequence->missing(), sequence->spec.max_rows, budget});
    sequence->last_work = now;
    step.slices.push_back({sequence->spec.key, sequence->spec.group, sequence->lease.sequence,
                           sequence->lease.computed, count, count == sequence->missing()});
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
  if (has_groups() && out.size() > 1) take_turns(out);
  return out;
}

/// Brings prompts into the order of their groups' turns; within a group their order stays.
void Scheduler::take_turns(std::vector<Sequence*>& readers) const {
  std::vector<std::uint64_t> ahead(shares_.size());  // tokens of prompts that come before
  for (auto at = readers.begin(); at != readers.end(); ++at) {
    const auto next = std::min_element(at, readers.end(), [&](const Sequence* one, const Sequence* other) {
      const GroupIndex group = one->spec.group;
      const GroupIndex against = other->spec.group;
      return group != against && shares_.time(group, ahead[group]) < shares_.time(against, ahead[against]);
    });
    ahead[(*next)->spec.group] += (*next)->missing();
    std::rotate(at, next, next + 1);
  }
}

/// Notes which groups want more than the step gives them.
void Scheduler::note_unserved(const Step& step) {
  if (!has_groups()) return;
  std::unordered_map<SequenceKey, std::uint32_t> served;
  for (const Slice& slice : step.slices) served.emplace(slice.sequence, slice.count);
  std::vector<GroupLoad> loads = this->loads();
  unserved_.assign(shares_.size(), false);
  for (GroupIndex i = 0; i < loads.size(); ++i) {
    loads[i].need = i < needs_.size() ? needs_[i] : 0;
    unserved_[i] = !queues_[i].empty() && !shares_.is_at_max(i, loads[i]);
  }
  for (const Sequence& sequence : running_) {
    if (sequence.paused || sequence.missing() == 0) continue;
    const auto slice = served.find(sequence.spec.key);
    if (slice == served.end() || slice->second < sequence.missing()) unserved_[sequence.spec.group] = true;
  }
}

}  // namespace autoglm::engine
