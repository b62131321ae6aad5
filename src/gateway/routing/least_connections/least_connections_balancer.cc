#include "gateway/routing/least_connections/least_connections_balancer.h"

#include "gateway/routing/lightest.h"

namespace autoglm::gateway {

std::optional<std::size_t> LeastConnectionsBalancer::pick(Members members, const Eligible& eligible,
                                                          const RoutingFacts& facts) {
  return pick_lightest(members, eligible, facts, among_equals_,
                       [](const Member& member) { return member.in_flight(); });
}

std::unique_ptr<Balancer> make_least_connections(std::uint64_t /*seed*/) {
  return std::make_unique<LeastConnectionsBalancer>();
}

}  // namespace autoglm::gateway
