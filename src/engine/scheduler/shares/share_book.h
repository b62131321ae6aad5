#pragma once

#include "inference/group_shares.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace autoglm::engine {

/// A group's number in an engine. 0: callers whose group owns no part of it, and those without a group.
using GroupIndex = std::uint32_t;
inline constexpr GroupIndex kNoGroup = 0;

/// What a group has of the engine, and what it wants.
struct GroupLoad {
  std::uint32_t used = 0;  ///< sequences that run
  std::uint64_t owed = 0;  ///< tokens of these that are not computed yet
  std::uint32_t need = 0;  ///< sequences that its next waiting request takes; 0: none could begin now
  bool works = false;      ///< something of it runs or waits
};

/// How groups share an engine's sequences and its compute. Compute is divided by start-time fair queueing: a
/// group's time advances by the tokens computed for it, divided by its part, and whose time is earliest goes
/// next. A part is the weight against the other groups that work, but at least the share and at most the
/// maximum. A group that wants no more than it gets has no credit for what it leaves to others, and one that
/// waits for sequences has little: to repay all of it would stop the prompts of all others. Pure; one thread.
class ShareBook {
 public:
  /// Tokens that a group may be owed, or owe: a few steps of them.
  static constexpr double kMostCredit = 2048;

  /// `slots`: sequences that run at the same time.
  explicit ShareBook(std::uint32_t slots) : slots_(slots), groups_(1) {}

  /// Takes new terms. A group that is not among them keeps its number, without a share, while `loads` say
  /// that it works; others may get the number after that.
  void change(std::span<const GroupShare> terms, std::span<const GroupLoad> loads);
  /// The number of a configured group, or kNoGroup.
  GroupIndex find(std::string_view name) const;
  std::size_t size() const { return groups_.size(); }
  /// Whether there is anything to divide: a configured group, or one that is gone and still works.
  bool divides() const {
    return std::any_of(groups_.begin() + 1, groups_.end(),
                       [](const Group& group) { return group.configured || group.works; });
  }
  /// Empty for kNoGroup and for numbers without a group.
  const std::string& name(GroupIndex group) const { return groups_[group].terms.name; }

  /// Divides the engine among the groups that work now; before the questions below.
  void begin(std::span<const GroupLoad> loads);
  double part(GroupIndex group) const { return groups_[group].part; }
  double share(GroupIndex group) const { return groups_[group].terms.share; }

  /// Whose waiting request gets the next sequences: of the groups below their share the one that has least of
  /// it, else the one whose time is earliest. Nothing: none waits below its maximum.
  std::optional<GroupIndex> next(std::span<const GroupLoad> loads) const;
  /// Whether the group's share has room for its next request, so that others make way for it.
  bool is_below_share(GroupIndex group, const GroupLoad& load) const {
    return load.need > 0 && load.used + load.need <= guaranteed(group);
  }
  /// Sequences that the group's share has left.
  std::uint32_t left_of_share(GroupIndex group, const GroupLoad& load) const {
    return guaranteed(group) - std::min(load.used, guaranteed(group));
  }
  /// Whether its maximum is why the group's next request waits.
  bool is_at_max(GroupIndex group, const GroupLoad& load) const {
    return !has_room(group, load, std::max(load.need, 1U));
  }
  /// The group furthest above its part among those above their share, other than `except`.
  std::optional<GroupIndex> furthest_above(std::span<const GroupLoad> loads,
                                           std::optional<GroupIndex> except) const;
  /// Sequences that the group has beyond its share.
  std::uint32_t excess(GroupIndex group, const GroupLoad& load) const {
    return load.used - std::min(load.used, guaranteed(group));
  }

  /// When the group's turn is, as if `owed` tokens had been computed for it already.
  double time(GroupIndex group, std::uint64_t owed = 0) const {
    return groups_[group].time + static_cast<double>(owed) / groups_[group].part;
  }
  /// Tokens were computed for the group.
  void charge(GroupIndex group, std::uint64_t tokens) { groups_[group].time = time(group, tokens); }
  /// After a step: groups that got all they could use are not owed anything, and no group is further behind
  /// or ahead of the others than kMostCredit. `unserved` by number.
  void settle(const std::vector<bool>& unserved);

 private:
  struct Group {
    GroupShare terms;
    bool configured = false;
    bool works = false;
    std::uint32_t guaranteed = 0;  // sequences
    double part = 1;
    double time = 0;
  };

  std::uint32_t guaranteed(GroupIndex group) const { return groups_[group].guaranteed; }
  void guarantee();
  bool has_room(GroupIndex group, const GroupLoad& load, std::uint32_t need) const;
  void bound_credit();

  std::uint32_t slots_;
  std::vector<Group> groups_;
  bool changed_ = true;
};

}  // namespace autoglm::engine
