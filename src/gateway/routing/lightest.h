#pragma once

#include "gateway/routing/balancer.h"

#include <cstdint>
#include <limits>
#include <vector>

namespace autoglm::gateway {

/// The eligible member with the smallest load for its weight, found among any number at about the same cost;
/// equals take turns by weight. A tournament of what was last known of each member: every pick looks at some
/// of the members again, in turn, and at the winner until it is as it was believed to be. So up to `kExact`
/// members the choice is exact, and beyond that no member is chosen that is heavier than believed or not
/// eligible. Belongs to a loop.
class Lightest {
 public:
  using Load = std::uint64_t (*)(const Member&);
  static constexpr std::size_t kExact = 32;    ///< up to so many members, each pick looks at all
  static constexpr std::size_t kLookedAt = 8;  ///< of more members: each look is a cache miss

  explicit Lightest(Load load) : load_(load) {}

  std::optional<std::size_t> pick(Members members, const Eligible& eligible, const RoutingFacts& facts);

 private:
  static constexpr double kOut = std::numeric_limits<double>::infinity();

  struct Known {
    double load = kOut;  // for its share; kOut: was not eligible
    double turn = 0;     // when it is due among equals: its picks, each worth one share
    bool operator==(const Known&) const = default;
  };
  void fit(Members members, const Eligible& eligible, const RoutingFacts& facts);
  bool before(std::size_t left, std::size_t right) const;
  bool look(Members members, const Eligible& eligible, const RoutingFacts& facts, std::size_t member);
  void play(std::size_t member);
  std::size_t winner() const { return winners_[1]; }
  void take_turn(const Member& member, std::size_t index, MonotonicTime now);

  Load load_;
  std::vector<Known> known_;
  std::vector<std::uint32_t> winners_;  // of a binary tree's inner nodes; the leaves are known_
  std::size_t fitted_ = 0;              // to so many members
  std::size_t next_ = 0;                // the member to be looked at next
  double turn_ = 0;                     // of the member that was picked last
};

}  // namespace autoglm::gateway
