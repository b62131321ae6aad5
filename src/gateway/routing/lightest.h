#pragma once

#include "gateway/routing/balancer.h"

#include <vector>

namespace autoglm::gateway {

/// The eligible member with the smallest `load(member)` for its weight; `among_equals` chooses among several.
template <class Load>
std::optional<std::size_t> pick_lightest(Members members, const Eligible& eligible, const RoutingFacts& facts,
                                         Balancer& among_equals, const Load& load) {
  std::vector<bool> lightest(members.size());
  std::optional<std::size_t> best;
  std::uint64_t best_load = 0;
  std::uint64_t best_share = 0;
  bool several = false;
  for (std::size_t i = 0; i < members.size(); ++i) {
    if (!eligible(i)) continue;
    const std::uint64_t own = load(members[i]);
    const std::uint64_t share = members[i].share(facts.now);
    // Compared as fractions: own / share against the best's.
    const std::uint64_t left = own * best_share;
    const std::uint64_t right = best_load * share;
    if (best && left > right) continue;
    if (best && left == right) {
      several = true;
    } else {
      lightest.assign(members.size(), false);
      best = i;
      best_load = own;
      best_share = share;
      several = false;
    }
    lightest[i] = true;
  }
  if (!several) return best;
  return among_equals.pick(members, [&lightest](std::size_t i) { return lightest[i]; }, facts);
}

}  // namespace autoglm::gateway
