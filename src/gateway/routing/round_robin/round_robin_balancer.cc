#include "gateway/routing/round_robin/round_robin_balancer.h"

namespace autoglm::gateway {

std::optional<std::size_t> RoundRobinBalancer::pick(Members members, const Eligible& eligible,
                                                    const RoutingFacts& facts) {
  current_.resize(members.size());
  std::optional<std::size_t> best;
  std::int64_t total = 0;
  for (std::size_t i = 0; i < members.size(); ++i) {
    if (!eligible(i)) continue;
    const auto share = static_cast<std::int64_t>(members[i].share(facts.now));
    current_[i] += share;
    total += share;
    if (!best || current_[i] > current_[*best]) best = i;
  }
  if (best) current_[*best] -= total;
  return best;
}

std::unique_ptr<Balancer> make_round_robin(std::uint64_t /*seed*/) {
  return std::make_unique<RoundRobinBalancer>();
}

}  // namespace autoglm::gateway
