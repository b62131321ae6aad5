#include "gateway/routing/least_load/least_load_balancer.h"

#include "gateway/routing/lightest.h"

namespace autoglm::gateway {

std::optional<std::size_t> LeastLoadBalancer::pick(Members members, const Eligible& eligible,
                                                   const RoutingFacts& facts) {
  return pick_lightest(members, eligible, facts, among_equals_,
                       [](const Member& member) { return member.load(); });
}

std::unique_ptr<Balancer> make_least_load(std::uint64_t /*seed*/) {
  return std::make_unique<LeastLoadBalancer>();
}

}  // namespace autoglm::gateway
