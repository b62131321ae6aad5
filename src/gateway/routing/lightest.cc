#include "gateway/routing/lightest.h"

#include <algorithm>
#include <bit>
#include <tuple>

namespace autoglm::gateway {

namespace {
// So often the winner may turn out not to be as believed; then all members are looked at.
constexpr int kSurprises = 64;
}  // namespace

bool Lightest::before(std::size_t left, std::size_t right) const {
  return std::tie(known_[left].load, known_[left].turn) <= std::tie(known_[right].load, known_[right].turn);
}

/// Looks at a member again; returns whether it has changed.
bool Lightest::look(Members members, const Eligible& eligible, const RoutingFacts& facts,
                    std::size_t member) {
  const Known was = known_[member];
  Known& known = known_[member];
  if (eligible(member)) {
    known.load =
        static_cast<double>(load_(members[member])) / static_cast<double>(members[member].share(facts.now));
    // A member that was out or busy has not saved up turns meanwhile.
    known.turn = std::max(known.turn, turn_);
  } else {
    known.load = kOut;
  }
  if (known == was) return false;
  play(member);
  return true;
}

/// Plays the rounds of one member, from the first to the final.
void Lightest::play(std::size_t member) {
  const std::size_t leaves = winners_.size();
  for (std::size_t node = (member + leaves) / 2; node > 0; node /= 2) {
    const auto side = [&](std::size_t child) {
      return child < leaves ? winners_[child] : static_cast<std::uint32_t>(child - leaves);
    };
    const std::uint32_t left = side(2 * node);
    const std::uint32_t right = side(2 * node + 1);
    winners_[node] = before(left, right) ? left : right;
  }
}

void Lightest::take_turn(const Member& member, std::size_t index, MonotonicTime now) {
  turn_ = std::max(turn_, known_[index].turn);
  known_[index].turn += 1 / static_cast<double>(member.share(now));
  play(index);
}

/// Makes room for members that were added, and forgets those behind the list's end.
void Lightest::fit(Members members, const Eligible& eligible, const RoutingFacts& facts) {
  for (std::size_t i = members.size(); i < fitted_; ++i) {
    known_[i] = {};
    play(i);
  }
  const std::size_t leaves = std::bit_ceil(std::max<std::size_t>(members.size(), 2));
  if (leaves > known_.size()) {
    known_.resize(leaves);
    winners_.assign(leaves, 0);
    for (std::size_t i = 0; i < leaves; ++i) play(i);
  }
  for (std::size_t i = fitted_; i < members.size(); ++i) look(members, eligible, facts, i);
  fitted_ = members.size();
}

std::optional<std::size_t> Lightest::pick(Members members, const Eligible& eligible,
                                          const RoutingFacts& facts) {
  if (members.empty()) return std::nullopt;
  const auto look_at_all = [&] {
    for (std::size_t i = 0; i < members.size(); ++i) look(members, eligible, facts, i);
  };
  if (fitted_ != members.size()) fit(members, eligible, facts);
  const bool exact = members.size() <= kExact;
  for (std::size_t i = 0; i < (exact ? members.size() : kLookedAt); ++i) {
    next_ = next_ + 1 < members.size() ? next_ + 1 : 0;
    look(members, eligible, facts, next_);
  }
  for (int i = 0; known_[winner()].load != kOut && look(members, eligible, facts, winner()); ++i) {
    if (i == kSurprises) look_at_all();
  }
  if (known_[winner()].load == kOut) {
    if (!exact) look_at_all();
    if (known_[winner()].load == kOut) return std::nullopt;
  }
  const std::size_t picked = winner();
  take_turn(members[picked], picked, facts.now);
  return picked;
}

}  // namespace autoglm::gateway
