#pragma once

#include "gateway/routing/lightest.h"

namespace autoglm::gateway {

/// The fewest requests in flight for its weight; equals take turns. As nginx's least_conn.
class LeastConnectionsBalancer final : public Balancer {
 public:
  std::optional<std::size_t> pick(Members members, const Eligible& eligible,
                                  const RoutingFacts& facts) override {
    return lightest_.pick(members, eligible, facts);
  }

 private:
  Lightest lightest_{[](const Member& member) -> std::uint64_t { return member.in_flight(); }};
};

std::unique_ptr<Balancer> make_least_connections(std::uint64_t seed);

}  // namespace autoglm::gateway
