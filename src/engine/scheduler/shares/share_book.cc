#include "engine/scheduler/shares/share_book.h"

#include "engine/scheduler/shares/share_split.h"

#include <algorithm>
#include <cmath>

namespace autoglm::engine {

namespace {

/// A part of the slots in whole ones; a hair more, since 0.29 × 100 is 28.999….
std::uint32_t whole_slots(double part, std::uint32_t slots) {
  constexpr double kHair = 1e-6;
  return static_cast<std::uint32_t>(part * slots + kHair);
}

}  // namespace

void ShareBook::change(std::span<const GroupShare> terms, std::span<const GroupLoad> loads) {
  changed_ = true;
  for (std::size_t i = 1; i < groups_.size(); ++i) {
    groups_[i].configured = false;
    groups_[i].works = i < loads.size() && loads[i].works;
    groups_[i].terms = GroupShare{.name = std::move(groups_[i].terms.name)};
  }
  for (const GroupShare& each : terms) {
    const auto named = [&each](const Group& group) { return group.terms.name == each.name; };
    auto found = std::find_if(groups_.begin() + 1, groups_.end(), named);
    for (std::size_t i = 1; found == groups_.end() && i < groups_.size(); ++i) {
      const bool wanted = std::ranges::find(terms, groups_[i].terms.name, &GroupShare::name) != terms.end();
      if (!groups_[i].configured && !wanted && (i >= loads.size() || !loads[i].works))
        found = groups_.begin() + static_cast<std::ptrdiff_t>(i);
    }
    if (found == groups_.end()) found = groups_.insert(groups_.end(), Group{});
    found->terms = each;
    found->configured = true;
    if (!found->works) found->time = std::ranges::max(groups_, {}, &Group::time).time;
  }
  guarantee();
}

GroupIndex ShareBook::find(std::string_view name) const {
  for (std::size_t i = 1; i < groups_.size(); ++i)
    if (groups_[i].configured && groups_[i].terms.name == name) return static_cast<GroupIndex>(i);
  return kNoGroup;
}

void ShareBook::begin(std::span<const GroupLoad> loads) {
  for (std::size_t i = 0; i < groups_.size(); ++i) {
    changed_ |= groups_[i].works != loads[i].works;
    groups_[i].works = loads[i].works;
  }
  if (!std::exchange(changed_, false)) return;
  guarantee();
  std::vector<SharePart> parts;
  for (const Group& group : groups_) {
    if (group.works)
      parts.push_back({.share = group.terms.share, .max = group.terms.max, .weight = group.terms.weight});
  }
  const std::vector<double> split = split_by_shares(parts);
  auto next = split.begin();
  for (Group& group : groups_)
    if (group.works) group.part = *next++;
}

std::optional<GroupIndex> ShareBook::next(std::span<const GroupLoad> loads) const {
  std::optional<GroupIndex> best;
  std::pair<bool, double> best_turn;
  for (GroupIndex i = 0; i < groups_.size(); ++i) {
    const GroupLoad& load = loads[i];
    if (load.need == 0 || !has_room(i, load, load.need)) continue;
    const bool below = is_below_share(i, load);
    const std::pair turn(!below, below ? static_cast<double>(load.used) / guaranteed(i) : time(i, load.owed));
    if (best && best_turn <= turn) continue;
    best = i;
    best_turn = turn;
  }
  return best;
}

std::optional<GroupIndex> ShareBook::furthest_above(std::span<const GroupLoad> loads,
                                                    std::optional<GroupIndex> except) const {
  std::optional<GroupIndex> furthest;
  double most = 0;
  for (GroupIndex i = 0; i < groups_.size(); ++i) {
    if (i == except || excess(i, loads[i]) == 0) continue;
    const double above = loads[i].used - groups_[i].part * slots_;
    if (furthest && above <= most) continue;
    furthest = i;
    most = above;
  }
  return furthest;
}

void ShareBook::settle(const std::vector<bool>& unserved) {
  double earliest = std::numeric_limits<double>::infinity();
  double latest = 0;
  for (std::size_t i = 0; i < groups_.size(); ++i) {
    latest = std::max(latest, groups_[i].time);
    if (unserved[i]) earliest = std::min(earliest, groups_[i].time);
  }
  const double now = std::min(earliest, latest);
  for (std::size_t i = 0; i < groups_.size(); ++i)
    if (!unserved[i]) groups_[i].time = std::max(groups_[i].time, now);
  bound_credit();
}

/// By the mean of those that work, not by the one ahead: a group with a small part leaps far ahead with each
/// request, and the others would be owed nothing.
void ShareBook::bound_credit() {
  double parts = 0;
  double sum = 0;
  for (const Group& group : groups_) {
    if (!group.works) continue;
    parts += group.part;
    sum += group.part * group.time;
  }
  if (parts == 0) return;
  const double mean = sum / parts;
  for (Group& group : groups_) {
    const double most = kMostCredit / group.part;
    if (group.works) group.time = std::clamp(group.time, mean - most, mean + most);
  }
}

/// Shares that are all of the engine together leave a sequence to those without one, or these would never
/// begin.
void ShareBook::guarantee() {
  std::uint32_t sum = 0;
  bool others = false;
  for (Group& group : groups_) {
    group.guaranteed = whole_slots(group.terms.share, slots_);
    if (!group.works) continue;
    sum += group.guaranteed;
    others |= group.guaranteed == 0;
  }
  if (!others || sum < slots_) return;
  const auto left = [](const Group& group) { return group.works ? group.guaranteed : 0; };
  --std::ranges::max_element(groups_, {}, left)->guaranteed;
}

/// A group that runs nothing may always begin, also a request that is larger than its maximum.
bool ShareBook::has_room(GroupIndex group, const GroupLoad& load, std::uint32_t need) const {
  const std::uint32_t most = std::max(whole_slots(groups_[group].terms.max, slots_), 1U);
  return load.used == 0 || load.used + need <= most;
}

}  // namespace autoglm::engine
